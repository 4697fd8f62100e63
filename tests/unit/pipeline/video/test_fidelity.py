"""What every made clip keeps when it is read, written in three segments and joined; and the comparison can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evaluation import fidelity, videofacts
from evaluation.videochecks import CHECKS, Check, compared, passed
from support import videos
from support.videos import CLIPS
from velum_pipeline.video.join import Joined

PARTS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def checks(clip: str, folder: Path, target: Path) -> dict[str, Check]:
    source = videos.made(clip, folder)
    _, joined = passed(source, target, PARTS)
    return {check.name: check for check in compared(source, target, joined)}


def differing(found: dict[str, Check]) -> dict[str, tuple[object, object]]:
    return {name: (check.before, check.after) for name, check in found.items() if check.same is False}


@pytest.mark.parametrize("clip", CLIPS)
def test_nothing_of_a_clip_changes(clip: str, folder: Path, tmp_path: Path) -> None:
    found = checks(clip, folder, tmp_path / "out.mp4")
    assert not differing(found)
    assert len(found) == len(CHECKS)


@pytest.mark.parametrize(
    ("clip", "told"),
    [
        ("h264-10bit.mp4", {"bits": 10, "format": "yuv420p10le"}),
        ("h264-422-10bit.mov", {"bits": 10, "format": "yuv422p10le"}),
        ("h264-444.mp4", {"format": "yuv444p"}),
        ("h264-90.mp4", {"rotation": (0, -65536, 0, 65536, 0, 0, 0, 0, 1073741824)}),
        ("h264-odd.mkv", {"width": 161, "height": 121}),
        ("hevc-hdr10.mp4", {"transfer": "smpte2084", "primaries": "bt2020", "matrix": "bt2020nc", "range": "tv"}),
        ("mjpeg.avi", {"range": "pc"}),
        ("prores.mov", {"format": "yuv422p10le"}),
    ],
)
@pytest.mark.skipif(not videofacts.by_ffprobe(), reason="ffprobe is not installed, which says what it finds in words")
def test_what_is_special_about_a_clip_is_there_after(
    clip: str, told: dict[str, object], folder: Path, tmp_path: Path
) -> None:
    found = checks(clip, folder, tmp_path / "out.mp4")
    assert {name: found[name].after for name in told} == told


def test_a_varying_rate_stays(folder: Path, tmp_path: Path) -> None:
    source = videos.made("h264-vfr.mp4", folder)
    passed(source, tmp_path / "out.mp4", PARTS)
    before, _ = videofacts.facts(source)
    after, _ = videofacts.facts(tmp_path / "out.mp4")
    steps = {later - sooner for sooner, later in zip(before.pts, before.pts[1:], strict=False)}
    assert len(steps) > 2
    assert before.pts == after.pts


def test_fields_stay(folder: Path, tmp_path: Path) -> None:
    found = checks("h264-tff.mp4", folder, tmp_path / "out.mp4")
    assert found["fields"].before in ("tt", "bb")
    assert found["fields"].same


def test_without_ffprobe_the_comparison_is_made_by_the_products_own_probe(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(videofacts, "by_ffprobe", lambda: False)
    for clip in ("hevc-hdr10.mp4", "tracks.mp4", "h264-bff.mkv", "mpeg2.ts", "h264-90.mp4"):
        found = checks(clip, folder, tmp_path / "out.mp4")
        assert not differing(found)
    assert found["rotation"].after is not None


@pytest.mark.parametrize(
    ("other", "differ"),
    [
        ("h264-vfr.mp4", {"pts", "duration"}),
        ("h264-10bit.mp4", {"format", "bits", "packets"}),
        ("h264-odd.mkv", {"width", "height", "format", "packets", "picture"}),
        ("h264-90.mp4", {"rotation"}),
        ("tracks.mp4", {"packets"}),
    ],
)
def test_another_clip_in_its_place_is_noticed(folder: Path, other: str, differ: set[str]) -> None:
    one, two = videos.made("h264.mp4", folder), videos.made(other, folder)
    found = {check.name: check for check in compared(one, two, Joined(30))}
    assert differ <= set(differing(found))


def test_lost_tags_and_chapters_are_noticed(folder: Path) -> None:
    found = compared(videos.made("tracks.mp4", folder), videos.made("h264.mp4", folder), Joined(30))
    assert {"tags", "chapters", "packets"} <= set(differing({check.name: check for check in found}))


def test_the_command_prints_a_line_per_clip_and_says_what_differs(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "given"
    given.mkdir()
    (given / "h264.mp4").write_bytes(videos.made("h264.mp4", folder).read_bytes())
    (given / "no video.txt").write_text("nothing")
    monkeypatch.setattr(fidelity, "_made", lambda _: iter(()))
    rows = tmp_path / "rows.json"
    assert fidelity.main(["--clips", str(given), "--json", str(rows)]) == 0
    assert "| h264.mp4 | given | + |" in capsys.readouterr().out
    assert {row["check"] for row in json.loads(rows.read_text())} == set(CHECKS)
    broken = bytearray((given / "h264.mp4").read_bytes())
    (given / "broken.mp4").write_bytes(broken[: len(broken) // 2])
    assert fidelity.main(["--clips", str(given)]) == 1
    assert "TruncatedMedia" in capsys.readouterr().out
