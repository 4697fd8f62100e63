"""Reasons are part of the API: well formed, and each explained in docs/api.md."""

import re
from pathlib import Path

import pytest

from velum.api.conditions import COMPLETE, FAILED, READY, SUSPENDED
from velum.api.reasons import INPUT_REASONS, Reason

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "api.md").read_text()
ROWS = [
    line.split("|")[1] for line in PAGE.partition("## Reasons")[2].partition("\n## ")[0].splitlines() if "|" in line
]
DOCUMENTED = [word for row in ROWS for word in re.findall(r"`(\w+)`", row)]


def test_the_page_explains_each_reason_once_and_no_other() -> None:
    assert sorted(DOCUMENTED) == sorted(map(str, Reason))


@pytest.mark.parametrize("kind", [COMPLETE, FAILED, SUSPENDED, READY])
def test_the_page_explains_each_condition(kind: str) -> None:
    assert f"`{kind}`" in PAGE


@pytest.mark.parametrize("reason", Reason)
def test_is_one_word_as_kubernetes_wants_it(reason: Reason) -> None:
    """The pattern of metav1.Condition's reason, narrowed to CamelCase."""
    assert re.fullmatch(r"[A-Z][A-Za-z]*", reason)
    assert len(reason) <= 128, "status.reason holds no more"


def test_input_reasons_blame_the_input_only() -> None:
    """A part of ours that fails must be tried again; neither may a source that does not answer right now end a task."""
    assert not INPUT_REASONS & {
        Reason.WORKER_LOST,
        Reason.PIPELINE_FAILED,
        Reason.STORAGE_UNAVAILABLE,
        Reason.SOURCE_UNREACHABLE,
        Reason.RAY_UNAVAILABLE,
    }
