"""The table from errors to reasons, and outcomes on the wire."""

import pytest

from support.serving import order
from velum.api.reasons import Reason
from velum.api.status import TaskResult
from velum.errors import InvalidInput, Unavailable
from velum.tasks.order import Failed, Manifest, Succeeded
from velum_operator.dispatch import parse_outcome
from velum_pipeline import errors as pipeline
from velum_pipeline.detect import ClassNotFound, DetectionFailed, ModelInvalid
from velum_pipeline.options import ObjectClass
from velum_serve.errors import NotServed, SourceFailed, StageBroke, Withdrawn
from velum_serve.reasons import REASONS, failure, outcome_document


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (pipeline.UnsupportedMedia("x"), Reason.UNSUPPORTED_MEDIA),
        (pipeline.EmptyMedia("x"), Reason.EMPTY_MEDIA),
        (pipeline.TruncatedMedia("x"), Reason.TRUNCATED_MEDIA),
        (pipeline.CorruptMedia("x"), Reason.CORRUPT_MEDIA),
        (pipeline.TooManyPixels("x"), Reason.TOO_MANY_PIXELS),
        (pipeline.OptionError("quality", "x"), Reason.INVALID_SPEC),
        (pipeline.StageFailed("x"), Reason.PIPELINE_FAILED),
        (pipeline.PipelineError("x"), Reason.PIPELINE_FAILED),
        (ClassNotFound([ObjectClass.PERSON], ["centerface"], "x"), Reason.CLASS_NOT_SERVED),
        (DetectionFailed("x"), Reason.PIPELINE_FAILED),
        (ModelInvalid("x"), Reason.PIPELINE_FAILED),
        (NotServed("x"), Reason.CLASS_NOT_SERVED),
        (SourceFailed(Reason.TOO_LARGE, "x"), Reason.TOO_LARGE),
        (SourceFailed(Reason.SOURCE_FORBIDDEN, "x"), Reason.SOURCE_FORBIDDEN),
        (Unavailable("storage", "x"), Reason.STORAGE_UNAVAILABLE),
        (InvalidInput("key", "x"), Reason.INVALID_SPEC),
        (Withdrawn("x"), Reason.PIPELINE_FAILED),
        (StageBroke("decoding", ValueError("y")), Reason.PIPELINE_FAILED),
    ],
)
def test_foreseen_errors_keep_their_text(error: Exception, reason: Reason) -> None:
    assert failure(error) == Failed(reason, str(error))


def test_every_media_error_of_the_pipeline_has_the_reason_of_its_own_name() -> None:
    for kind in pipeline.MediaError.__subclasses__():
        assert failure(kind("x")).reason == kind.reason


def test_no_row_is_hidden_by_an_earlier_one() -> None:
    for number, (kind, _) in enumerate(REASONS):
        assert not any(issubclass(kind, earlier) for earlier, _ in REASONS[:number])


def test_an_unforeseen_error_is_not_quoted() -> None:
    outcome = failure(ValueError("pixels-of-somebody"))
    assert outcome.reason is Reason.PIPELINE_FAILED
    assert "pixels-of-somebody" not in outcome.message
    assert "ValueError" in outcome.message


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(Reason.CORRUPT_MEDIA, "why"),
        Succeeded(Manifest(uid="u", media_type="image/jpeg", result=TaskResult(attempt=1), seconds=0.5)),
    ],
)
def test_the_controller_reads_what_the_replica_writes(outcome: Failed | Succeeded) -> None:
    assert parse_outcome(order(), outcome_document(outcome)) == outcome
