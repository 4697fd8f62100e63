"""Ray Serve around the pipeline. Only `app` and `headprocess` import ray, so everything else runs without it."""
