"""The one table from everything an attempt can raise to the API's reasons, and outcomes as they travel.

Whether a reason is worth another attempt is decided by the controller (`velum.api.reasons.INPUT_REASONS`), not here.
"""

from typing import Any

from velum.api.reasons import Reason
from velum.errors import InvalidInput, Unavailable
from velum.tasks.order import Failed, Succeeded
from velum_pipeline.detect import ClassNotFound
from velum_pipeline.errors import (
    CorruptMedia,
    EmptyMedia,
    OptionError,
    PipelineError,
    TooManyPixels,
    TruncatedMedia,
    UnsupportedMedia,
)
from velum_serve.errors import NotServed, RunRefused, ServeError, SourceFailed

REASONS: tuple[tuple[type[Exception], Reason], ...] = (
    (UnsupportedMedia, Reason.UNSUPPORTED_MEDIA),
    (EmptyMedia, Reason.EMPTY_MEDIA),
    (TruncatedMedia, Reason.TRUNCATED_MEDIA),
    (CorruptMedia, Reason.CORRUPT_MEDIA),
    (TooManyPixels, Reason.TOO_MANY_PIXELS),
    (OptionError, Reason.INVALID_SPEC),
    (InvalidInput, Reason.INVALID_SPEC),
    (NotServed, Reason.CLASS_NOT_SERVED),
    (ClassNotFound, Reason.CLASS_NOT_SERVED),
    (Unavailable, Reason.STORAGE_UNAVAILABLE),  # an attempt stands on nothing else of ours
    (PipelineError, Reason.PIPELINE_FAILED),
    (ServeError, Reason.PIPELINE_FAILED),
)
"""First match wins, so a base stands after what is below it."""


def failure(error: Exception) -> Failed:
    """Return the outcome of an attempt that raised this. The text of an error that nobody foresaw is not shown."""
    if isinstance(error, SourceFailed | RunRefused):
        return Failed(error.reason, str(error))
    for kind, reason in REASONS:
        if isinstance(error, kind):
            return Failed(reason, str(error))
    return Failed(Reason.PIPELINE_FAILED, f"the attempt failed unexpectedly ({type(error).__name__})")


def outcome_document(outcome: Succeeded | Failed) -> dict[str, Any]:
    """Return the outcome as the replica answers it."""
    if isinstance(outcome, Succeeded):
        return {"outcome": "succeeded", "manifest": outcome.manifest.wire()}
    return {"outcome": "failed", "reason": str(outcome.reason), "message": outcome.message}
