"""The v1 REST API: uploads in, tasks out, results back. `velum_ingress.app.create_app` builds it.

It knows the kernel and the pipeline's codecs, never a detector, Ray or Kubernetes: work is handed over by creating a
task in the store, and comes back as a change of that task.
"""
