"""What is sent to the API server, and what its answers mean, without one."""

import json
from itertools import chain, combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.samples import NOW, task
from velum.api.status import Phase, TaskStatus
from velum.errors import AlreadyExists, Conflict, InvalidInput, NotFound, Unavailable, VelumError
from velum.tasks.kubernetes.bodies import event, merge_patch, owned_by, phase_selector, secret
from velum.tasks.kubernetes.refusals import Expired, Request, UnknownType, refusal
from velum.tasks.store import SecretHeader

Json = dict[str, Any]

leaves = st.booleans() | st.integers() | st.sampled_from(["", "text"]) | st.lists(st.integers(), max_size=2)
values = st.recursive(
    leaves,
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=8,
)
documents = st.dictionaries(st.sampled_from("abcd"), values, max_size=4)


def applied(document: Any, patch: Any) -> Any:
    """MergePatch as RFC 7386 defines it, section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(document) if isinstance(document, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = applied(result.get(name), value)
    return result


def with_strangers(document: Any) -> Any:
    """The document as a newer version writes it: with fields beside those we know, at every level."""
    if not isinstance(document, dict):
        return document
    return {**{key: with_strangers(value) for key, value in document.items()}, "newer": "kept"}


def without_strangers(document: Any) -> Any:
    if not isinstance(document, dict):
        return document
    return {key: without_strangers(value) for key, value in document.items() if key != "newer"}


class TestMergePatch:
    @given(documents, documents)
    def test_it_makes_the_new_of_the_old(self, old: Json, new: Json) -> None:
        assert applied(old, merge_patch(old, new)) == new

    @given(documents, documents)
    def test_it_leaves_what_a_newer_version_wrote(self, old: Json, new: Json) -> None:
        result = applied(with_strangers(old), merge_patch(old, new))
        assert result["newer"] == "kept"
        for key in old.keys() & new.keys():
            if isinstance(old[key], dict) and isinstance(new[key], dict):
                assert result[key]["newer"] == "kept"
        assert without_strangers(result) == new

    def test_every_plain_field_is_sent(self) -> None:
        """Else defaults that we read into an empty status would never be written, and columns would stay blank."""
        wire = TaskStatus().wire()
        assert merge_patch(wire, wire) == wire


class TestPhaseSelector:
    @pytest.mark.parametrize("chosen", list(chain.from_iterable(combinations(Phase, n) for n in range(1, 7))))
    def test_it_keeps_the_chosen_ones(self, chosen: tuple[Phase, ...]) -> None:
        terms = [term.split("!=") for term in phase_selector(chosen).split(",") if term]
        assert all(field == "status.phase" for field, _ in terms)
        excluded = {value for _, value in terms}
        assert {phase for phase in Phase if str(phase) not in excluded} == set(chosen)
        assert ("" in excluded) == (Phase.PENDING not in chosen)

    def test_no_choice_is_all(self) -> None:
        assert phase_selector(()) == ""


class TestBodies:
    def test_a_secret_belongs_to_its_task(self) -> None:
        body = secret(task(), SecretHeader("X-Key", "value"))
        assert owned_by(body, "one", task().metadata.uid)
        assert owned_by(body, "one")
        assert not owned_by(body, "one", "another")
        assert not owned_by(body, "two")
        assert not owned_by({"metadata": {"name": "a-persons-own"}}, "one")

    @pytest.mark.parametrize("text", ["", "x" * 5000, "ü" * 5000, "a" + "😀" * 1000])
    def test_a_note_fits_and_stays_text(self, text: str) -> None:
        body = event(task(), "Warning", "PipelineFailed", text, name="e", instance="i" * 300, now=NOW)
        assert len(body["note"].encode()) <= 1024
        assert text.startswith(body["note"])
        assert len(body["reportingInstance"]) <= 128
        assert body["eventTime"] == "2026-03-01T12:00:00.123456Z"


def answer(code: int, reason: str = "", message: str = "so it is", **details: Any) -> bytes:
    status = {"kind": "Status", "status": "Failure", "reason": reason, "message": message, "code": code}
    return json.dumps({**status, "details": details} if details else status).encode()


PATCH = Request("patch", "task", "anonymizationtasks.velum.dev/status", "velum", "one")
LIST = Request("list", "task", "anonymizationtasks.velum.dev", "velum")


class TestRefusals:
    @pytest.mark.parametrize(
        ("request_", "code", "body", "kind", "text"),
        [
            (PATCH, 404, answer(404, "NotFound", name="one", kind="anonymizationtasks"), NotFound, "'one'"),
            (PATCH, 409, answer(409, "Conflict", name="one"), Conflict, "'one'"),
            (PATCH, 409, answer(409, "AlreadyExists", name="one"), AlreadyExists, "'one'"),
            (PATCH, 404, b"404 page not found\n", UnknownType, "kubectl apply -f crds/"),
            (LIST, 404, b"404 page not found\n", UnknownType, "anonymizationtasks.velum.dev"),
            (PATCH, 404, answer(404, "NotFound", name="velum", kind="namespaces"), Unavailable, "so it is"),
            (PATCH, 403, answer(403, "Forbidden"), Unavailable, "patch anonymizationtasks.velum.dev/status in namesp"),
            (LIST, 401, answer(401, "Unauthorized"), Unavailable, "not allowed to list"),
            (LIST, 410, answer(410, "Expired"), Expired, "so it is"),
            (LIST, 400, answer(400, "BadRequest", "continue key is not valid"), InvalidInput, "continue key"),
            (PATCH, 413, b"too large", InvalidInput, "too large"),
            (PATCH, 429, answer(429, "TooManyRequests"), Unavailable, "429: so it is"),
            (PATCH, 500, b"", Unavailable, "500: no reason given"),
            (PATCH, 502, b"<html>Bad Gateway" + b"x" * 10_000, Unavailable, "502: <html>Bad Gateway"),
            (PATCH, 503, b"\xff\xfe", Unavailable, "503"),
            (PATCH, 200, b"[1, 2]", Unavailable, "200"),
        ],
    )
    def test_each_has_its_error(
        self, request_: Request, code: int, body: bytes, kind: type[Exception], text: str
    ) -> None:
        error = refusal(request_, code, body)
        assert type(error) is kind
        assert text in str(error)
        assert len(str(error)) < 1000

    def test_an_invalid_object_names_its_fields(self) -> None:
        causes = [
            {"reason": "FieldValueInvalid", "message": "Invalid value: 0: too small", "field": "spec.quality"},
            {"reason": "FieldValueRequired", "message": "Required value", "field": "spec.classes"},
        ]
        error = refusal(PATCH, 422, answer(422, "Invalid", causes=causes))
        assert isinstance(error, InvalidInput)
        assert error.field == "spec.quality"
        assert error.message == "Invalid value: 0: too small; spec.classes: Required value"

    @pytest.mark.parametrize("body", [answer(422, "Invalid"), answer(422, causes=[]), answer(422, causes=None), b"{}"])
    def test_an_invalid_object_without_causes_is_still_named(self, body: bytes) -> None:
        error = refusal(PATCH, 422, body)
        assert isinstance(error, InvalidInput)
        assert error.field == "task"

    @given(st.integers(300, 599), st.binary(max_size=60))
    def test_nothing_is_too_strange(self, code: int, body: bytes) -> None:
        assert isinstance(refusal(PATCH, code, body), VelumError | Expired)
