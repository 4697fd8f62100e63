"""Tasks and models as custom resources in a Kubernetes API server."""

from velum.tasks.kubernetes.connection import load_client
from velum.tasks.kubernetes.store import KubernetesStore

__all__ = ["KubernetesStore", "load_client"]
