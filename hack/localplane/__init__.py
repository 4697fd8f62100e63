"""A real Kubernetes API on one machine: etcd and kube-apiserver as daemons, no container, no root, no controllers.

`hack/controlplane` is the door; this package does the work with nothing but the standard library, because it runs
before any virtual environment exists. Read it in this order: `binaries` (where the programs come from), `servers`
(how they are started and asked for health), `access` (token, keys, kubeconfig), `processes` (daemons and who they
are), `plane` (up, down, status). `exits` is how a command ends; `gomodules` and `kuberaychart` have what charts/velum
needs of KubeRay.

What is missing on purpose: kube-controller-manager. So `ownerReferences` are not garbage-collected, deleted
namespaces stay `Terminating` until somebody finalizes them, and no Deployment gets pods.
"""
