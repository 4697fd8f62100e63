"""Every reason a condition or an event of Velum can carry, in one place. Part of the API: dashboards match on it."""

from enum import StrEnum


class Reason(StrEnum):
    """CamelCase words for `condition.reason`, each with what it tells the reader."""

    # Waiting
    QUEUED = "Queued"  # accepted; no replica has room yet
    MODEL_NOT_FOUND = "ModelNotFound"  # no AnonymizationModel of that name; waits until there is one
    RETRYING = "Retrying"  # the last attempt failed; the next one starts after the back-off
    RAY_UNAVAILABLE = "RayUnavailable"  # Ray Serve does not take work; tried again, not counted
    INTERRUPTED = "Interrupted"  # the controller or the pod that had the attempt went away; started again, not counted
    SUSPENDED = "Suspended"  # spec.suspend is true
    RESUMED = "Resumed"
    # Working
    STARTED = "Started"
    EXPORTING = "Exporting"  # published; being copied to the destination
    # Ended well
    ANONYMIZED = "Anonymized"
    # Ended badly: the input
    UNSUPPORTED_MEDIA = "UnsupportedMedia"
    EMPTY_MEDIA = "EmptyMedia"
    TRUNCATED_MEDIA = "TruncatedMedia"
    CORRUPT_MEDIA = "CorruptMedia"
    TOO_MANY_PIXELS = "TooManyPixels"
    TOO_LARGE = "TooLarge"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_FORBIDDEN = "SourceForbidden"  # the SSRF rules refuse the URL
    SOURCE_UNREACHABLE = "SourceUnreachable"
    # Ended badly: the request
    CLASS_NOT_SERVED = "ClassNotServed"  # the model finds no such objects
    INVALID_SPEC = "InvalidSpec"
    # Ended badly: us
    BACKOFF_LIMIT_EXCEEDED = "BackoffLimitExceeded"
    DEADLINE_EXCEEDED = "DeadlineExceeded"
    WORKER_LOST = "WorkerLost"  # the replica died while it had the work
    PIPELINE_FAILED = "PipelineFailed"
    STORAGE_UNAVAILABLE = "StorageUnavailable"
    # Afterwards
    FILES_REMOVED = "FilesRemoved"
    EXPIRED = "Expired"  # ttlSecondsAfterFinished has passed
    WEBHOOK_SENT = "WebhookSent"
    WEBHOOK_FAILED = "WebhookFailed"
    # Models
    DEPLOYED = "Deployed"
    DEPLOYING = "Deploying"
    DEPLOY_FAILED = "DeployFailed"
    IDLE = "Idle"  # no task has needed the model yet
    INVALID_MODEL = "InvalidModel"


INPUT_REASONS = frozenset(
    {
        Reason.UNSUPPORTED_MEDIA,
        Reason.EMPTY_MEDIA,
        Reason.TRUNCATED_MEDIA,
        Reason.CORRUPT_MEDIA,
        Reason.TOO_MANY_PIXELS,
        Reason.TOO_LARGE,
        Reason.SOURCE_NOT_FOUND,
        Reason.SOURCE_FORBIDDEN,
        Reason.CLASS_NOT_SERVED,
        Reason.INVALID_SPEC,
    }
)
"""Another attempt at the same input ends the same way: these fail at once, whatever backoffLimit says."""
