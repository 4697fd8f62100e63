"""The CustomResourceDefinitions, computed from the types: what pydantic accepts and what the API server accepts is
decided in one place. `hack/generate` writes them to `crds/`.
"""

from velum.api.crd.definition import KINDS, build
from velum.api.crd.schema import UnsupportedSchema, structural

__all__ = ["KINDS", "UnsupportedSchema", "build", "structural"]
