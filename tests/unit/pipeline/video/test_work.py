"""A run of segments: nothing shows between two hits, runs agree with each other, and nothing is left of what failed."""

import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from support.redsquares import Square, blind, damaged, exposed, faces, looking_for_red, made
from velum_pipeline.detections import Detections
from velum_pipeline.errors import Cancelled
from velum_pipeline.options import Method, Options
from velum_pipeline.tracks import Tracker
from velum_pipeline.video.clip import anonymize
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoder import Encoding, SegmentWriter
from velum_pipeline.video.looking import Detect, Pixels
from velum_pipeline.video.part import SegmentResult
from velum_pipeline.video.probe import probe
from velum_pipeline.video.records import Records, assemble
from velum_pipeline.video.segments import Segment, segments
from velum_pipeline.video.source import Opener
from velum_pipeline.video.wishes import Wishes
from velum_pipeline.video.work import work

FRAMES = 240
SQUARES = (
    Square(4, 10, 0.6, 0.1),
    Square(160, 80, -0.5, -0.05, first=37, stop=190),
    Square(80, 50, 0.0, 0.0, first=90, stop=96),  # six frames in all
)
GOP = 20


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("red") / "squares.mp4", SQUARES, FRAMES, gop=GOP)


def opened(path: Path) -> tuple[Opener, Video]:
    def opener() -> object:
        return path.open("rb")

    return opener, probe(opener)  # type: ignore[arg-type,return-value]


def wished(every: int = 1, **changes: object) -> Wishes:
    return Wishes(faces(**changes), Encoding(), "squares.mp4", key=b"0123456789abcdef", every=every, threads=1)


def parts_of(
    source: Path, runs: Sequence[Sequence[Segment]], wishes: Wishes, detect: Detect, folder: Path
) -> list[SegmentResult]:
    opener, video = opened(source)
    parts: dict[int, SegmentResult] = {}
    for run in runs:
        work(opener, video, run, wishes, detect, lambda s, r: parts.__setitem__(s.number, r), folder=folder)
    return [parts[number] for number in sorted(parts)]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[Path, list[np.ndarray]]:
    """The frames that go to each file's encoder. What comes out of it is not the same twice: x264's mbtree is not."""
    frames: dict[Path, list[np.ndarray]] = {}
    write = SegmentWriter.write

    def spying(writer: SegmentWriter, frame: av.VideoFrame) -> None:
        assert isinstance(writer.target, Path)
        frames.setdefault(writer.target, []).append(frame.to_ndarray().copy())
        write(writer, frame)

    monkeypatch.setattr(SegmentWriter, "write", spying)
    return frames


def told(parts: Sequence[SegmentResult], folder: Path) -> list[dict]:
    assemble((Records(part.records, part.tracks) for part in parts), folder / "m.json", folder / "m.index")
    return json.loads((folder / "m.json").read_text())


def test_hides_every_square_in_every_frame(source: Path, tmp_path: Path) -> None:
    opener, video = opened(source)
    visible = [(n, row) for n in range(FRAMES) for row, square in enumerate(SQUARES) if square.box(n) is not None]
    assert exposed(source, SQUARES) == visible, "else the measure does not see squares that show"
    done = anonymize(opener, video, wished(), looking_for_red, tmp_path / "out.mp4")
    assert exposed(tmp_path / "out.mp4", SQUARES) == []
    assert (done.frames, done.skipped, done.counts) == (FRAMES, 0, {"face": 3})


@pytest.mark.parametrize("every", [1, 2, 3])
@pytest.mark.parametrize("start", [0, 33, 60, 118, 180, 230])
def test_hides_what_ten_looks_in_a_row_missed(source: Path, tmp_path: Path, every: int, start: int) -> None:
    """Lost in the first frames, in the middle, over segment borders and at the end."""
    opener, video = opened(source)
    long = SQUARES[:2]  # the third is shown for six frames: ten that are lost leave nothing to know it by
    lost = blind(lambda frame: start <= frame < start + 10, every)
    anonymize(opener, video, wished(every), lost, tmp_path / "out.mp4")
    assert exposed(tmp_path / "out.mp4", long) == []


def test_shows_what_is_lost_for_longer_than_promised(source: Path, tmp_path: Path) -> None:
    """Else the tests above would pass by hiding all."""
    opener, video = opened(source)
    anonymize(opener, video, wished(), blind(lambda frame: 60 <= frame < 120), tmp_path / "out.mp4")
    assert exposed(tmp_path / "out.mp4", SQUARES[:2])


@pytest.mark.parametrize("every", [1, 3])
def test_runs_of_their_own_say_and_show_what_one_run_does(
    source: Path, tmp_path: Path, written: dict[Path, list[np.ndarray]], every: int
) -> None:
    _, video = opened(source)
    cut = segments(video, GOP)
    assert len(cut) == FRAMES // GOP
    one, several = tmp_path / "one", tmp_path / "several"
    one.mkdir()
    several.mkdir()
    whole = parts_of(source, [cut], wished(every), looking_for_red, one)
    runs = [cut[8:], cut[3:4], cut[:3], cut[4:8]]
    split = parts_of(source, runs, wished(every), looking_for_red, several)
    assert told(split, several) == told(whole, one)
    for first, second in zip(whole, split, strict=True):
        assert first.path is not None
        assert second.path is not None
        np.testing.assert_array_equal(written[first.path], written[second.path])


def test_numbers_tracks_over_borders(source: Path, tmp_path: Path) -> None:
    _, video = opened(source)
    cut = segments(video, GOP)
    parts = parts_of(source, [[each] for each in cut], wished(), looking_for_red, tmp_path)
    frames = told(parts, tmp_path)
    assert [frame["id"] for frame in frames] == list(range(FRAMES))
    tracks = {entry["track_id"] for frame in frames for entry in frame["detections"]}
    assert tracks == {0, 1, 2}
    first = [entry for frame in frames for entry in frame["detections"] if entry["track_id"] == 0]
    assert len(first) == FRAMES


def test_tells_what_was_seen_from_what_follows(source: Path, tmp_path: Path) -> None:
    opener, video = opened(source)
    lost = blind(lambda frame: 60 <= frame < 66)
    anonymize(opener, video, wished(), lost, tmp_path / "out.mp4", metadata=tmp_path / "out.json")
    frames = json.loads((tmp_path / "out.json").read_text())
    filled = [frame["id"] for frame in frames if all(entry["is_interpolated"] for entry in frame["detections"])]
    assert set(range(60, 66)) <= set(filled)
    assert frames[50]["time"] == pytest.approx(2.0)
    assert frames[50]["duration"] == pytest.approx(0.04)


@pytest.mark.parametrize("method", [Method.DETECT])
def test_detecting_writes_no_video(source: Path, tmp_path: Path, method: Method) -> None:
    opener, video = opened(source)
    target = tmp_path / "out.mp4"
    done = anonymize(opener, video, wished(method=method), looking_for_red, target, metadata=tmp_path / "m.json")
    assert done.counts == {"face": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["m.json"]
    assert not any(e["is_anonymised"] for f in json.loads((tmp_path / "m.json").read_text()) for e in f["detections"])


def test_detecting_looks_back_only_as_far_as_tracks_need(source: Path, tmp_path: Path) -> None:
    cut = segments(opened(source)[1], 4 * GOP)
    looked: list[int] = []

    def counting(pictures: list[Pixels], options: Options) -> Sequence[Detections]:
        looked.append(len(pictures))
        return looking_for_red(pictures, options)

    alone, together = tmp_path / "alone", tmp_path / "together"
    alone.mkdir()
    together.mkdir()
    whole = parts_of(source, [cut], wished(method=Method.DETECT), looking_for_red, together)
    split = parts_of(source, [cut[:-1]], wished(method=Method.DETECT), looking_for_red, alone)
    split += parts_of(source, [cut[-1:]], wished(method=Method.DETECT), counting, alone)
    assert told(split, alone) == told(whole, together)
    assert sum(looked) == FRAMES - cut[-1].first + Tracker.reach(1)


def test_leaves_broken_frames_out_and_counts_them(source: Path, tmp_path: Path) -> None:
    broken = damaged(source, tmp_path / "broken.mp4", [50, 51, 130])
    opener, video = opened(broken)
    done = anonymize(opener, video, wished(), looking_for_red, tmp_path / "out.mp4", metadata=tmp_path / "m.json")
    assert 3 <= done.skipped < 3 * GOP
    assert done.frames == FRAMES - done.skipped
    assert exposed(tmp_path / "out.mp4", SQUARES) == []
    with av.open(tmp_path / "out.mp4") as container:
        times = [round(frame.time * 25) for frame in container.decode(video=0)]
    assert len(times) == done.frames
    assert not {50, 51, 130} & set(times)
    frames = json.loads((tmp_path / "m.json").read_text())
    assert [round(frame["time"] * 25) for frame in frames] == times
    assert [frame["id"] for frame in frames] == list(range(done.frames))


def failing_after(frames: int) -> Detect:
    seen = 0

    def detect(pictures: Sequence[np.ndarray], options: object) -> list:
        nonlocal seen
        seen += len(pictures)
        if seen > frames:
            raise RuntimeError("the detector broke")
        return looking_for_red(pictures, options)  # type: ignore[arg-type]

    return detect


def test_leaves_nothing_when_a_stage_fails(source: Path, tmp_path: Path) -> None:
    opener, video = opened(source)
    with pytest.raises(RuntimeError, match="the detector broke"):
        anonymize(opener, video, wished(), failing_after(150), tmp_path / "out.mp4", metadata=tmp_path / "m.json")
    assert list(tmp_path.iterdir()) == []


def test_keeps_only_finished_parts_when_a_stage_fails(source: Path, tmp_path: Path) -> None:
    opener, video = opened(source)
    kept: list[SegmentResult] = []
    with pytest.raises(RuntimeError):
        work(
            opener,
            video,
            segments(video, GOP),
            wished(),
            failing_after(150),
            lambda _, result: kept.append(result),
            folder=tmp_path,
        )
    assert kept
    files = {part.path for part in kept} | {part.records for part in kept}
    assert set(tmp_path.iterdir()) == files


def test_stops_when_it_is_cancelled(source: Path, tmp_path: Path) -> None:
    opener, video = opened(source)
    done: list[int] = []

    def progress(frames: int) -> None:
        done.append(frames)

    with pytest.raises(Cancelled):
        anonymize(
            opener,
            video,
            wished(),
            looking_for_red,
            tmp_path / "out.mp4",
            progress=progress,
            cancelled=lambda: len(done) >= 30,
        )
    assert done == list(range(1, 31))
    assert list(tmp_path.iterdir()) == []


def test_small_segments_give_what_one_gives(source: Path, tmp_path: Path) -> None:
    """Joined from twelve parts or from one, the video shows the same."""
    opener, video = opened(source)
    shown: list[list[np.ndarray]] = []
    for frames in (GOP, FRAMES):
        target = tmp_path / f"{frames}.mp4"
        anonymize(opener, video, wished(), looking_for_red, target, segment_frames=frames)
        with av.open(target) as container:
            shown.append([frame.to_ndarray(format="gray") for frame in container.decode(video=0)])
    assert len(shown[0]) == len(shown[1]) == FRAMES
    for one, other in zip(*shown, strict=True):
        error = np.mean((one.astype(float) - other) ** 2)
        assert 10 * np.log10(255**2 / max(error, 1e-9)) > 40
