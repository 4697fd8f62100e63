"""What detection can raise, below PipelineError.

    DetectError
    ├── ModelInvalid         weights or their description do not fit each other, or this machine cannot run them
    ├── ClassNotFound        a class was requested that no loaded detector finds
    └── DetectionFailed      a detector ran and its answer cannot be trusted: there is no picture

None of these is the sender's fault except ClassNotFound, which names the classes and what would find them.
"""

from __future__ import annotations

from collections.abc import Iterable

from velum_pipeline.errors import PipelineError
from velum_pipeline.options import ObjectClass


class DetectError(PipelineError):
    """Base of every error of the detectors."""


class ModelInvalid(DetectError):
    """A model cannot be used: it does not parse, is not what its decoder expects, or its provider is absent."""


class DetectionFailed(DetectError):
    """A detector gave no answer or one without a single usable number, so nothing may be shown."""


class ClassNotFound(DetectError):
    """A class is asked for that the given packs do not find. ``missing`` and ``packs`` carry both."""

    def __init__(self, missing: Iterable[ObjectClass], packs: Iterable[str], hint: str) -> None:
        self.missing = tuple(sorted(missing, key=list(ObjectClass).index))
        self.packs = tuple(packs)
        super().__init__(
            f"no detector for {', '.join(self.missing)} in {', '.join(self.packs) or 'no packs at all'}; {hint}"
        )
