"""Everything this package can raise on purpose, as one tree.

    PipelineError
    ├── OptionError          an option is out of range; ``field`` names it
    ├── StageFailed          a stage of ours broke its own promise: no picture comes out
    ├── UnsupportedEncoder   a video cannot be written with the codec that is set on this machine
    ├── Cancelled            whoever asked for the work does not want it any more
    └── MediaError           the file cannot be worked on; ``reason`` is a stable word
        ├── UnsupportedMedia     not a format (or a variant of one) that we read
        ├── EmptyMedia           no bytes at all
        ├── TruncatedMedia       the file ends before its own structure does
        ├── CorruptMedia         the structure is whole but does not decode
        └── TooManyPixels        more pixels than the limit, known before decoding

The class is the policy: a MediaError or an OptionError is the sender's and never worth a retry; anything else may be.
Detectors add their own branches below PipelineError.
"""

from __future__ import annotations

from typing import ClassVar


class PipelineError(Exception):
    """Base of every error that the pipeline raises on purpose."""


class OptionError(PipelineError):
    """An option has a value that cannot be honoured."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class StageFailed(PipelineError):
    """A stage finished with something that must not be shown; there is no picture."""


class UnsupportedEncoder(PipelineError):
    """Videos cannot be written with the codec or preset that is set, on this machine."""


class Cancelled(PipelineError):
    """Work was given up because nobody wants it any more."""


class MediaError(PipelineError):
    """The file cannot be worked on."""

    reason: ClassVar[str] = "MediaError"


class UnsupportedMedia(MediaError):
    """The bytes are not a format, or a variant of one, that we read."""

    reason = "UnsupportedMedia"


class EmptyMedia(MediaError):
    """There are no bytes."""

    reason = "EmptyMedia"


class TruncatedMedia(MediaError):
    """The file ends before its own structure does."""

    reason = "TruncatedMedia"


class CorruptMedia(MediaError):
    """The file looks whole but does not decode."""

    reason = "CorruptMedia"


class TooManyPixels(MediaError):
    """The header announces more pixels than the limit allows."""

    reason = "TooManyPixels"
