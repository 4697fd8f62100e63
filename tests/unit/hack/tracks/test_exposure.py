"""What is hidden is seen to be hidden from pixels alone, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from evaluation.errors import PeerFailed, SetInvalid
from evaluation.tracks import clips, exposure
from evaluation.tracks.figures import Figures, by_class, by_size
from evaluation.tracks.scene import Scene
from velum_pipeline.options import ObjectClass

Picture = NDArray[np.uint8]
Edited = Callable[[Callable[[int, Picture], Picture]], Path]
GONE = range(10, 14)


def hiding(played: Scene, how: Callable[[Picture], Picture], *, grown: float = 0.2, missed: range = range(0)):
    """Hide each object's grown box, but for frames that are missed."""

    def change(number: int, picture: Picture) -> Picture:
        picture = picture.copy()
        for each in played.truth(number) if number not in missed else ():
            x1, y1, x2, y2 = each.box
            dx, dy = grown * (x2 - x1), grown * (y2 - y1)
            columns = slice(max(0, int(x1 - dx)), max(0, int(x2 + dx)))
            rows = slice(max(0, int(y1 - dy)), max(0, int(y2 + dy)))
            if picture[rows, columns].size:
                picture[rows, columns] = how(picture[rows, columns])
        return picture

    return change


def mean(area: Picture) -> Picture:
    return np.broadcast_to(area.mean(axis=(0, 1)).astype(np.uint8), area.shape)


def blurred(area: Picture) -> Picture:
    return np.asarray(cv2.blur(area, (max(3, area.shape[1] // 2), max(3, area.shape[0] // 2))), np.uint8)


@pytest.fixture
def least(clip: Path, played: Scene, edited: Edited) -> float:
    """The limit of a product that encodes as ``edited`` does."""
    return exposure.limit(clip, edited(lambda _, picture: picture), played.truth)


def test_coding_alone_hides_nothing(clip: Path, played: Scene, edited: Edited, least: float) -> None:
    assert exposure.MARGIN < least < 25
    sights = exposure.sights(clip, edited(lambda _, picture: picture), played.truth, least)
    assert len(sights) == 4
    figures = Figures.of(sights)
    assert figures.recall == 0
    assert figures.exposed_share == 1
    assert figures.longest == max(len(each.hidden) for each in sights)


@pytest.mark.parametrize("how", [mean, blurred])
def test_what_is_averaged_or_blurred_is_hidden(
    clip: Path, played: Scene, edited: Edited, least: float, how: Callable[[Picture], Picture]
) -> None:
    sights = exposure.sights(clip, edited(hiding(played, how)), played.truth, least)
    figures = Figures.of(sights)
    assert (figures.tracks, figures.recalled, figures.exposed) == (4, 4, 0)


def test_frames_that_were_missed_are_found(clip: Path, played: Scene, edited: Edited, least: float) -> None:
    sights = exposure.sights(clip, edited(hiding(played, mean, missed=GONE)), played.truth, least)
    for sight in sights:
        exposed = [number for number, bare in zip(sight.numbers, sight.exposed, strict=True) if bare]
        assert exposed == [number for number in sight.numbers if number in GONE]
    assert Figures.of(sights).longest == len(GONE)


def test_half_a_cover_is_none(clip: Path, played: Scene, edited: Edited, least: float) -> None:
    sights = exposure.sights(clip, edited(hiding(played, mean, grown=-0.2)), played.truth, least)
    assert Figures.of(sights).recall == 0
    assert all(0.05 < np.mean(each.hidden) < exposure.COVERED for each in sights)


def test_an_output_of_other_frames_cannot_be_compared(clip: Path, played: Scene, tmp_path: Path) -> None:
    frames = list(clips.frames(clip))
    _, _, rate = clips.described(clip)
    clips.write(tmp_path / "short.mp4", frames[:-1], rate)
    clips.write(tmp_path / "small.mp4", [each[:120] for each in frames], rate)
    with pytest.raises(PeerFailed, match="fewer frames"):
        exposure.sights(clip, tmp_path / "short.mp4", played.truth, 5)
    with pytest.raises(PeerFailed, match="more frames"):
        exposure.sights(tmp_path / "short.mp4", clip, played.truth, 5)
    with pytest.raises(PeerFailed, match="320 x 120"):
        exposure.sights(clip, tmp_path / "small.mp4", played.truth, 5)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SetInvalid, match=r"text\.mp4"):
        exposure.sights(clip, tmp_path / "text.mp4", played.truth, 5)


def test_figures_by_size_and_class() -> None:
    def sight(track: int, size: float, hidden: list[float], numbers: list[int]) -> exposure.Sight:
        return exposure.Sight(track, [size] * len(hidden), hidden, numbers)

    small = sight(0, 15, [1.0, 0.7, 0.7, 1.0], [0, 1, 2, 3])
    broken = sight(1, 16, [0.0, 0.0, 0.0], [4, 6, 7])  # frame 5 asked for nothing
    large = sight(2, 60, [0.75, 1.0], [0, 1])
    sizes = by_size([large, small, broken])
    assert list(sizes) == ["0-24 px", "48+ px"]
    assert sizes["0-24 px"] == Figures(tracks=2, recalled=0, frames=7, exposed=5, longest=2)
    assert sizes["48+ px"].document() == {
        "tracks": 1,
        "track_recall": 1.0,
        "frames": 2,
        "exposed_share": 0.0,
        "longest_exposure": 0,
    }
    owners = {0: ObjectClass.PERSON, 1: ObjectClass.FACE, 2: ObjectClass.PERSON}
    classes = by_class([large, small, broken], owners)
    assert [(name, each.tracks, each.recall) for name, each in classes.items()] == [("face", 1, 0), ("person", 2, 0.5)]
    assert Figures.of([]).recall is None
    assert Figures.of([]).exposed_share is None
