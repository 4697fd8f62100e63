"""A whole video on one machine, from a file to files: for the command line and for measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from velum_pipeline.errors import CorruptMedia
from velum_pipeline.options import Method
from velum_pipeline.video.description import Video
from velum_pipeline.video.join import Joined, join
from velum_pipeline.video.looking import Detect
from velum_pipeline.video.part import SegmentResult
from velum_pipeline.video.records import Assembled, Records, assemble
from velum_pipeline.video.segments import SEGMENT_FRAMES, Segment, segments
from velum_pipeline.video.source import Opener
from velum_pipeline.video.trial import fitted
from velum_pipeline.video.wishes import Wishes
from velum_pipeline.video.work import work


@dataclass(frozen=True)
class Clip:
    """What came of a video: see `records.Assembled` for frames and counts.

    left_out: streams that are not in it. converted: those that are in it in another form.
    """

    frames: int
    skipped: int
    counts: dict[str, int]
    left_out: tuple[str, ...]
    converted: tuple[str, ...]


def anonymize(
    opener: Opener,
    video: Video,
    wishes: Wishes,
    detect: Detect,
    target: Path,
    *,
    metadata: Path | None = None,
    progress: Callable[[int], None] = lambda _: None,
    cancelled: Callable[[], bool] = lambda: False,
    segment_frames: int = SEGMENT_FRAMES,
) -> Clip:
    """Write the anonymized video to ``target`` (nothing for method ``detect``), and its metadata if asked for.

    Raises what a stage raises; then neither file is made, and what was written on the way is gone.
    """
    with TemporaryDirectory(prefix=".velum-", dir=target.parent) as name:
        folder = Path(name)
        parts: list[SegmentResult] = []

        def keep(_: Segment, result: SegmentResult) -> None:
            parts.append(result)

        if wishes.options.method is not Method.DETECT:
            encoding = fitted(opener, video, wishes.encoding, threads=wishes.threads)
            wishes = replace(wishes, encoding=encoding)
        run = segments(video, segment_frames)
        work(opener, video, run, wishes, detect, keep, folder=folder, progress=progress, cancelled=cancelled)
        skipped = sum(part.skipped for part in parts)
        require_frames(sum(part.frames for part in parts), skipped)
        told = assemble(_records(parts), folder / "metadata.json", folder / "metadata.index")
        joined = None
        if wishes.options.method is not Method.DETECT:
            files = [part.path for part in parts if part.path is not None]
            joined = join(opener, video, files, target, gps=wishes.options.gps, skipped=skipped)
        if metadata is not None:
            (folder / "metadata.json").replace(metadata)
        return _clip(told, skipped + video.lost, video, joined)


def require_frames(frames: int, skipped: int) -> None:
    """Raise CorruptMedia where nothing came of a video."""
    if not frames:
        raise CorruptMedia(f"none of the video's {skipped} frames decodes")


def _records(parts: list[SegmentResult]) -> Iterator[Records]:
    return (Records(part.records, part.tracks) for part in parts)


def _clip(told: Assembled, skipped: int, video: Video, joined: Joined | None) -> Clip:
    left_out, converted = (joined.left_out, joined.converted) if joined is not None else ((), ())
    return Clip(told.frames, skipped, dict(told.counts), video.left_out + left_out, converted)
