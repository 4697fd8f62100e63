"""Windows, masks, what is done to them, teachers and the choice of a threshold."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from evaluation.outlines import jittered
from training.errors import TeacherInvalid
from training.outlines import choice, teach
from training.outlines.augment import augmented
from training.outlines.losses import loss
from training.outlines.masks import box_of, decoded, encoded, filled
from training.outlines.measure import Labelled, hidden
from training.outlines.sources import Example, Source, taught
from training.outlines.windows import Box, cut, onto, pasted, warped, window

Array = np.ndarray[Any, Any]
BOX: Box = (20.0, 10.0, 60.0, 70.0)
WHOLE = Source("coco_tiny", "1.png", 0, "person", BOX, None, 100, 80)
KEY = WHOLE.key


def example() -> Example:
    """A white object in a black picture, filling its box but for a corner."""
    mask = np.zeros((80, 100), np.uint8)
    mask[10:70, 20:60] = 255
    mask[10:30, 20:40] = 0
    return Example(WHOLE, np.repeat(mask[..., None], 3, 2), mask, None, BOX, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_come_back(seed: int) -> None:
    mask = np.random.default_rng(seed).random((7, 5)) < (0.5, 0.1, 0.9, 2.0)[seed]
    line = encoded(mask)
    assert sum(line["counts"]) == 35
    np.testing.assert_array_equal(decoded(line["size"], line["counts"]), mask)


def test_run_lengths_go_down_columns_and_begin_outside() -> None:
    np.testing.assert_array_equal(decoded([2, 2], [1, 2, 1]), [[False, True], [True, False]])


def test_polygons_are_filled_where_the_matrix_puts_them() -> None:
    mask = filled([[2, 2, 6, 2, 6, 6, 2, 6]], np.array([[4.0, 0, 0], [0, 4, 0]]), 40, 40)
    found = box_of(mask)
    assert found is not None
    np.testing.assert_allclose(found, (8, 8, 24, 24), atol=1)


def test_training_sees_what_the_pipeline_cuts() -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (80, 100, 3), np.uint8)
    smooth = np.asarray(np.repeat(np.repeat(pixels[::8, ::8], 8, 0), 8, 1)[:80, :100])
    ours, theirs = warped(smooth, onto(window(BOX), 64), 64), cut(smooth, BOX, 64)
    assert np.abs(ours.astype(int) - theirs).max() <= 3


def test_outside_the_picture_is_grey() -> None:
    crop = cut(np.zeros((40, 40, 3), np.uint8), (-20.0, -20.0, 20.0, 20.0), 32)
    assert (crop[:8] == 114).all()
    assert (crop[-4:, -4:] == 0).all()


def test_a_mask_comes_back_to_its_place() -> None:
    mask = example().mask
    assert mask is not None
    crop = warped(mask, onto(window(BOX), 64), 64, 0).astype(np.float32) / 255
    back = pasted(crop, BOX, 100, 80) > 0.5
    assert np.count_nonzero(back ^ (mask > 0)) < 130  # half a pixel around the outline


@pytest.mark.parametrize("seed", range(20))
def test_what_is_made_of_an_example_keeps_mask_and_picture_together(seed: int) -> None:
    one = example()
    crop = augmented(one, [], [], np.random.default_rng(seed), 64)
    assert crop.pixels.shape == (64, 64, 3)
    inner, outer = crop.mask > 0.95, crop.mask < 0.05
    bright = crop.pixels.astype(int).mean(2)
    assert bright[inner].mean() > bright[outer].mean() + 20


def test_what_hides_an_object_is_no_part_of_it() -> None:
    one = example()
    red = replace(one, pixels=np.where(one.pixels > 0, (255, 0, 0), 0).astype(np.uint8))
    crops = [augmented(one, [red], [], np.random.default_rng(seed), 64) for seed in range(60)]
    shown = [crop for crop in crops if (crop.pixels[..., 0].astype(int) - crop.pixels[..., 1] > 100).sum() > 40]
    assert len(shown) > 4
    for crop in shown:
        hiding = crop.pixels[..., 0].astype(int) - crop.pixels[..., 1] > 120
        assert crop.mask[hiding].mean() < 0.2


def test_doubt_takes_no_part_in_the_loss() -> None:
    masks, weights = torch.zeros(1, 16, 16), torch.ones(1)
    masks[:, 4:12, 4:12] = 1
    certain = torch.ones(1, 16, 16)
    certain[:, 4:12, 12:] = 0
    right = (masks * 2 - 1) * 8
    wrong = right.clone()
    wrong[:, 4:12, 12:] = 8
    assert float(loss(right, masks, certain, weights)) == pytest.approx(float(loss(wrong, masks, certain, weights)))
    assert float(loss(right, masks, torch.ones(1, 16, 16), weights)) < 0.1
    assert float(loss(wrong, masks, torch.ones(1, 16, 16), weights)) > 0.5


def test_a_verdict_doubts_between_and_refuses_what_does_not_fill_its_box() -> None:
    chance = np.zeros((80, 100), np.float32)
    chance[10:70, 20:60] = 0.9
    chance[10:70, 58:60] = 0.6
    line = teach.verdict(chance, BOX)
    assert np.count_nonzero(decoded(line["size"], line["counts"])) == 60 * 40
    assert np.count_nonzero(decoded(line["size"], line["doubt"])) == 60 * 2
    chance[40:] = 0
    assert teach.verdict(chance, BOX) == {}
    chance[10:70, 20:60] = 0.55
    assert teach.verdict(chance, BOX) == {}


def test_nothing_is_taught_outside_the_box() -> None:
    line = teach.verdict(np.ones((80, 100), np.float32), BOX)
    mask = decoded(line["size"], line["counts"])
    assert not mask[:, :17].any()
    assert not mask[75:].any()


def test_a_program_can_teach(tmp_path: Path) -> None:
    program = tmp_path / "teacher.py"
    program.write_text(
        "import json, sys\n"
        "for line in open(sys.argv[1]):\n"
        "    asked = json.loads(line)\n"
        "    assert asked['picture'].endswith('1.png'), asked\n"
        "    x1, y1, x2, y2 = map(int, asked['bbox'])\n"
        "    counts = [x1 * 80 + y1]\n"
        "    for column in range(x1, x2):\n"
        "        counts += [y2 - y1, 80 - (y2 - y1)]\n"
        "    counts[-1] = 8000 - sum(counts[:-1])\n"
        "    print(json.dumps({'object': asked['object'], 'size': [80, 100], 'counts': counts}))\n"
    )
    path = tmp_path / "taught.jsonl"
    command = f"{sys.executable} {program}"
    teach.ask(command, tmp_path, [WHOLE], path)
    (found,) = taught([replace(example(), mask=None)], teach.read_taught(path, command, [WHOLE]))
    assert found.mask is not None
    assert found.certain is not None
    assert found.certain.all()


def answering(*lines: object) -> str:
    """A program that answers with these lines."""
    whole = b"\n".join(line if isinstance(line, bytes) else _json(line) for line in lines)
    return shlex.join([sys.executable, "-c", f"import sys; sys.stdout.buffer.write({whole!r})"])


def _json(line: object) -> bytes:
    return (line if isinstance(line, str) else json.dumps(line)).encode()


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        ("/nowhere/teacher", "cannot be run"),
        ("false", "ended with 1"),
        ("echo nothing", "line 1"),
        (answering("{}"), "line 1: lacks 'object'"),
        (answering("[1]"), "line 1: is no JSON object"),
        (answering({"object": KEY}, b"\xff"), "line 2: 'utf-8' codec"),
        (answering({"object": KEY}, {"object": "b"}), "line 2: 'b' was not asked for"),
        (answering({"object": KEY, "counts": [4]}), "line 1: lacks 'size'"),
        (answering({"object": KEY, "size": [2, 2], "counts": [4]}), r"size is \[2, 2\], .* are \[80, 100\]"),
        (answering({"object": KEY, "size": [80, 100], "counts": [9]}), "line 1: run lengths cover 9"),
        (answering({"object": KEY, "size": [80, 100], "counts": ["9"]}), "line 1: "),
    ],
)
def test_a_program_that_does_not_teach_is_named(tmp_path: Path, command: str, problem: str) -> None:
    path = tmp_path / "taught.jsonl"
    with pytest.raises(TeacherInvalid, match=problem):
        teach.ask(command, tmp_path, [WHOLE], path)
    assert not path.exists()


class Square(torch.nn.Module):
    """A network that marks the middle of every crop, surer towards its centre."""

    side = 32
    steep: torch.Tensor

    def __init__(self, steep: float = 8.0) -> None:
        super().__init__()
        self.register_buffer("steep", torch.tensor(steep))

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        place = torch.linspace(-1, 1, self.side).abs()
        return (4 - self.steep * torch.maximum(place[:, None], place[None])).expand(len(crops), -1, -1)


def test_teaching_goes_on_where_it_was_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teach, "LEAST_FILLED", 0.1)
    monkeypatch.setattr(teach, "MOST_DOUBT", 1.0)
    some = [replace(example(), mask=None, source=replace(WHOLE, number=number)) for number in range(3)]
    path = tmp_path / "taught.jsonl"
    whole = teach.masks_of(some, path, Square())  # type: ignore[arg-type]
    assert set(whole) == {one.source.key for one in some}
    lines = path.read_text()
    path.write_text(lines[: lines.rindex('"counts"')])
    again = teach.masks_of(some, path, Square())  # type: ignore[arg-type]
    assert path.read_text() == lines
    assert all((again[key][0] == whole[key][0]).all() for key in whole)


def test_what_another_taught_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(teach, "LEAST_FILLED", 0.1)
    monkeypatch.setattr(teach, "MOST_DOUBT", 1.0)
    path, some = tmp_path / "taught.jsonl", [replace(example(), mask=None)]
    teach.masks_of(some, path, Square())  # type: ignore[arg-type]
    before = path.read_bytes()
    with pytest.raises(TeacherInvalid, match=r"taught\.jsonl: was taught by network .*; delete the file"):
        teach.masks_of(some, path, Square(7.0))  # type: ignore[arg-type]
    with pytest.raises(TeacherInvalid, match=r"was taught by network \w{64}, asked for teacher --large"):
        teach.read_taught(path, "teacher --large", [WHOLE])
    assert path.read_bytes() == before
    path.write_bytes(before[before.index(b"\n") + 1 :])
    with pytest.raises(TeacherInvalid, match="line 1 does not say who taught it"):
        teach.masks_of(some, path, Square())  # type: ignore[arg-type]


def test_a_kept_line_that_is_broken_is_named(tmp_path: Path) -> None:
    path, some = tmp_path / "taught.jsonl", [replace(example(), mask=None)]
    teach.masks_of(some, path, Square())  # type: ignore[arg-type]
    with path.open("a") as lines:
        lines.write("nothing\n")
    with pytest.raises(TeacherInvalid, match=r"taught\.jsonl: line 3: Expecting value"):
        teach.masks_of(some, path, Square())  # type: ignore[arg-type]


def test_the_choice_hides_no_more_than_the_recall_needs() -> None:
    truth = np.zeros((80, 100), np.bool_)
    truth[20:60, 27:53] = True
    labelled = [Labelled("person", BOX, np.zeros((80, 100, 3), np.uint8), truth)] * 2
    modest, careful = (choice.choose(Square(), labelled, least) for least in (0.3, 0.97))  # type: ignore[arg-type]
    assert modest.p10 >= 0.3
    assert careful.p10 >= 0.97
    assert careful.excess > modest.excess
    lines = list(choice.lines(choice.tables(Square(), labelled, careful)))  # type: ignore[arg-type]
    assert len(lines) == 5


def test_the_choice_holds_for_boxes_that_are_moved() -> None:
    truth = np.zeros((80, 100), np.bool_)
    truth[20:60, 27:53] = True
    labelled = [Labelled("person", BOX, np.zeros((80, 100, 3), np.uint8), truth)] * 12
    chosen = choice.choose(Square(), labelled, 0.9)  # type: ignore[arg-type]
    rows = [
        row
        for row in choice.tables(Square(), labelled, chosen)  # type: ignore[arg-type]
        if (row["threshold"], row["grow"]) == (chosen.threshold, chosen.grow)
    ]
    still, moved = rows
    assert [row["jitter"] for row in rows] == list(choice.JITTERS)
    assert moved["p10"] < still["p10"]
    assert chosen.p10 == moved["p10"] >= 0.9
    assert chosen.excess == max(still["excess"], moved["excess"])


def test_what_is_written_is_what_was_chosen(tmp_path: Path) -> None:
    chosen = choice.Choice(64, 0.15, choice.THRESHOLDS[0], choice.GROWTHS[1], 0.96, 0.5)
    choice.write(tmp_path / choice.CHOICE, chosen, {"validation": [{"cls": "person"}]})
    assert json.loads((tmp_path / choice.CHOICE).read_text()) == {
        "side": 64, "margin": 0.15, "threshold": 0.02, "grow": 0.02, "p10": 0.96, "excess": 0.5,
        "measured": {"validation": [{"cls": "person"}]},
    }  # fmt: skip


def test_growing_hides_more_all_around() -> None:
    said = np.full((32, 32), -5, np.float32)
    said[12:20, 12:20] = 5
    small, large = (hidden(said, BOX, 100, 80, 0.5, grow) for grow in (0.0, 0.1))
    assert (large | ~small).all()
    grown = np.count_nonzero(large.any(0)) - np.count_nonzero(small.any(0))
    assert grown == pytest.approx(2 * 0.1 * (40 * 60) ** 0.5, abs=3)


def test_jitter_moves_each_side_by_its_share() -> None:
    moved = np.array(jittered([BOX] * 4000, 0.05)) - np.array(BOX)
    np.testing.assert_allclose(moved.std(0), (2, 3, 2, 3), rtol=0.1)
