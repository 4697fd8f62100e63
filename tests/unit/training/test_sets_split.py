"""The kept back part: whole blocks, and the same ones whatever else is there."""

from __future__ import annotations

import random

import pytest

from training.labels.sources import SOURCES, Source
from training.labels.split import GAP, split

FILES = [f"frame{number}.jpg" for number in range(400)]
PLAIN = Source("plain", "", "", "")
VIDEO = Source("video", "", "", "", video=True, block=16, every=8)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_about_a_tenth_to_a_quarter_is_kept_back(source: Source) -> None:
    parts = list(split(source, FILES).values())
    assert 0.08 <= parts.count("val") / len(parts) <= 0.25


def test_the_order_in_which_files_come_does_not_matter() -> None:
    shuffled = random.Random(5).sample(FILES, len(FILES))
    assert split(VIDEO, shuffled) == split(VIDEO, FILES)


def test_frames_are_in_the_order_in_which_people_count() -> None:
    parts = split(PLAIN, FILES)
    kept = [number for number in range(len(FILES)) if parts[f"frame{number}.jpg"] == "val"]
    blocks = {number // PLAIN.block for number in kept}
    assert kept == [number for block in sorted(blocks) for number in range(block * 8, block * 8 + 8)]


def test_no_training_frame_of_a_video_is_a_neighbour_of_a_kept_back_one() -> None:
    parts = [split(VIDEO, FILES)[file] for file in FILES]
    kept = [place for place, part in enumerate(parts) if part == "val"]
    train = [place for place, part in enumerate(parts) if part == "train"]
    assert min(abs(one - other) for one in kept for other in train) == GAP + 1
    assert parts.count("gap") == 2 * GAP * len(kept) // VIDEO.block


def test_pictures_without_neighbours_have_no_gap() -> None:
    assert set(split(PLAIN, FILES).values()) == {"train", "val"}
