"""The table from errors to answers: every error has a row, every row the contract's form."""

import inspect
import json

import pytest

from support.samples import task
from velum import errors as kernel
from velum.api import Reason
from velum.api.reasons import INPUT_REASONS
from velum_ingress import errors as ours
from velum_ingress.problems import REASON_STATUS, STATUS, problem
from velum_ingress.schemas import Problem

EXAMPLES = [
    (kernel.InvalidInput("quality", "must be 0..100"), 400),
    (kernel.ForbiddenTarget("http://u:p@x", "not public"), 400),
    (kernel.NotFound("task", "x"), 404),
    (kernel.AlreadyExists("task", "x"), 409),
    (kernel.Conflict("x"), 409),
    (kernel.Unavailable("storage", "/secret/place"), 503),
    (kernel.VelumError("inner"), 500),
    (ours.IngressError("inner"), 500),
    (ours.MediaRefused(Reason.EMPTY_MEDIA, "empty"), 400),
    (ours.MediaRefused(Reason.UNSUPPORTED_MEDIA, "gif"), 415),
    (ours.MediaRefused(Reason.TOO_MANY_PIXELS, "huge"), 413),
    (ours.UploadTooLarge(5), 413),
    (ours.QueueFull(7, 5), 503),
    (ours.NotReady("x", "queued"), 409),
    (ours.NoSuchResult("no mask"), 404),
    (ours.ResultMissing("x", "binary-mask"), 500),
    (ours.TaskFailed(task()), 422),
    (ours.SubmissionFailed(task()), 500),
]


@pytest.mark.parametrize(("error", "status"), EXAMPLES, ids=lambda each: type(each).__name__)
def test_every_error_is_an_answer(error: kernel.VelumError, status: int) -> None:
    answer = problem(error)
    body = json.loads(bytes(answer.body))
    assert answer.status_code == status
    found = Problem.model_validate(body)
    assert found.status_code == found.status == status
    assert found.error == found.detail
    assert found.error
    for hidden in ("inner", "/secret/place", "u:p"):
        assert hidden not in found.error
    assert ("retry-after" in answer.headers) == isinstance(error, kernel.Unavailable | ours.QueueFull | ours.NotReady)


def test_no_error_is_forgotten() -> None:
    known = {
        kind
        for module in (kernel, ours)
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, kernel.VelumError)
    }
    assert known == {type(error) for error, _ in EXAMPLES}
    # All but the two bases and those whose status comes from the reason have a row.
    assert known - set(STATUS) == {kernel.VelumError, ours.IngressError, ours.MediaRefused, ours.SubmissionFailed}


def test_every_fault_of_the_input_is_told_as_the_clients() -> None:
    """Sources by URL do not come through the REST API; all other reasons of the input have a status below 500."""
    by_url = {Reason.SOURCE_NOT_FOUND, Reason.SOURCE_FORBIDDEN}
    assert set(REASON_STATUS) == set(INPUT_REASONS) - by_url
    assert all(400 <= status < 500 for status in REASON_STATUS.values())
