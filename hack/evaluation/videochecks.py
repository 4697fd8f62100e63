"""One video's way through the house, and what is compared of it before and after."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from evaluation.videofacts import Beside, Facts, facts, reader
from velum_pipeline.detections import Detections
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoding import LEAST_RATE, Encoding
from velum_pipeline.video.join import Joined, join
from velum_pipeline.video.looking import Pixels
from velum_pipeline.video.part import SegmentResult
from velum_pipeline.video.planes import samples
from velum_pipeline.video.probe import probe
from velum_pipeline.video.reader import decoded
from velum_pipeline.video.segments import Segment
from velum_pipeline.video.trial import fitted
from velum_pipeline.video.wishes import Wishes
from velum_pipeline.video.work import work

CHECKS = (
    "width", "height", "frames", "pts", "start", "duration", "rotation", "aspect", "format", "bits", "range",
    "primaries", "transfer", "matrix", "hdr", "fields", "chapters", "tags", "packets", "roles", "size", "picture",
)  # fmt: skip
DEFAULTS = Encoding()
NOTHING_HIDDEN = Options(Method.BLUR, {ObjectClass.FACE: ClassOptions.default(ObjectClass.FACE)})
CLOSE = 0.002
"""Seconds: times of mkv and of mp4's edits are in thousandths."""
SAME_SIZE = 1.5
RGB = "gbr"
LEAST_PSNR = 35.0
"""dB; below that a difference is seen side by side."""
TEXTS = {"mov_text", "srt", "subrip", "ass", "ssa", "webvtt"}
NOT_KEPT = {"major_brand", "minor_version", "compatible_brands", "encoder", "duration", "vendor_id", "timecode"}
"""Tags that are the file's own, or told by the muxer."""


@dataclass(frozen=True)
class Check:
    """One comparison. same: None where the source says nothing."""

    name: str
    before: object
    after: object
    same: bool | None


def passed(source: Path, target: Path, parts: int = 3, encoding: Encoding = DEFAULTS) -> tuple[Video, Joined]:
    """Send ``source`` through the product's own work in so many segments, each in a run of its own, and join them.

    The detector finds nothing, so nothing is hidden. Raises PipelineError.
    """
    opener = reader(source)
    video = probe(opener)
    starts = sorted({video.frames * part // parts for part in range(parts)})
    encoding = fitted(opener, video, encoding, threads=1)
    wishes = Wishes(NOTHING_HIDDEN, encoding, source.name, key=bytes(16), threads=1)
    done: list[SegmentResult] = []
    with TemporaryDirectory() as folder:
        for number, (first, stop) in enumerate(zip(starts, [*starts[1:], video.frames], strict=True)):
            run = [Segment(number, first, stop)]
            work(opener, video, run, wishes, blind, lambda _, result: done.append(result), folder=Path(folder))
        files = [result.path for result in done if result.path is not None]
        joined = join(opener, video, files, target, skipped=sum(result.skipped for result in done))
    return video, joined


def blind(pictures: Sequence[Pixels], _: Options) -> list[Detections]:
    """A detector that finds nothing."""
    return [Detections.empty() for _ in pictures]


def compared(source: Path, target: Path, joined: Joined) -> list[Check]:
    """All checks of a video against its source."""
    before, video = facts(source)
    after, copy = facts(target)
    checks = [*_described(before, after, video), *_timed(before, after, joined)]
    checks += [*_chapters_and_tags(before, after, joined), *_streams(before, after, joined)]
    most = max(SAME_SIZE * video.size, SAME_SIZE * LEAST_RATE / 8 * video.seconds)
    checks.append(Check("size", video.size, copy.size, copy.size <= most))
    seen = psnr(source, video, target, copy)
    checks.append(Check("picture", None, round(seen, 2), seen >= LEAST_PSNR))
    return sorted(checks, key=lambda check: CHECKS.index(check.name))


def psnr(source: Path, video: Video, target: Path, copy: Video) -> float:
    """Of luma, dB, mean over the frames that both have, in the form they are worked on; 0 where they cannot compare."""
    if (video.width, video.height, video.bits) != (copy.width, copy.height, copy.bits):
        return 0.0
    both = zip(
        decoded(reader(source), video, 0, video.frames, threads=1),
        decoded(reader(target), copy, 0, copy.frames, threads=1),
        strict=False,
    )
    white = 2**video.bits - 1
    found = []
    for one, other in both:
        lumas = (samples(one.frame, video)[0], samples(other.frame, copy)[0])
        before, after = (luma[:, : video.width].astype(np.float64) for luma in lumas)
        away = before - after
        found.append(10 * np.log10(white**2 / max(float(np.mean(away**2)), 1e-3)))
    return float(np.mean(found)) if found else 0.0


def _described(before: Facts, after: Facts, video: Video) -> Iterator[Check]:
    one, other = before.video, after.video
    for name in ("width", "height", "rotation", "aspect", "fields"):
        yield _same(name, one[name], other[name])
    rgb = one["matrix"] == RGB  # becomes YCbCr, which says by which range and matrix
    for name in ("range", "primaries", "transfer", "matrix"):
        said = None if rgb and name in ("range", "matrix") else one[name]
        yield Check(name, said, other[name], None if said is None else said == other[name])
    told = (one["mastering"], one["light"])
    kept = (other["mastering"], other["light"])
    yield Check("hdr", told, kept, None if told == (None, None) else told == kept)
    wanted = video.pixel_format.replace("gray10le", "yuv420p10le").replace("gray", "yuv420p")
    got = str(other["format"]).replace("gray10le", "yuv420p10le").replace("gray", "yuv420p")
    yield Check("format", one["format"], other["format"], wanted == got)
    yield Check("bits", one["bits"], other["bits"], other["bits"] == min(int(str(one["bits"])), 10))


def _timed(before: Facts, after: Facts, joined: Joined) -> Iterator[Check]:
    yield Check("frames", len(before.pts), len(after.pts), len(before.pts) == len(after.pts) == joined.frames)
    due = [pts + joined.moved for pts in before.pts]
    late = [(float(a), float(b)) for a, b in zip(due, after.pts, strict=False) if a != b]
    yield Check("pts", late[0][0] if late else None, late[0][1] if late else None, due == list(after.pts))
    for name, moved in (("start", float(joined.moved)), ("duration", 0.0)):
        said, got = before.video[name], after.video[name]
        yield Check(name, said, got, _close(said + moved, got) if isinstance(said, float) else None)


def _chapters_and_tags(before: Facts, after: Facts, joined: Joined) -> Iterator[Check]:
    same = len(before.chapters) == len(after.chapters) and all(
        _close(a[0], b[0]) and _close(a[1], b[1]) and a[2] == b[2]
        for a, b in zip(before.chapters, after.chapters, strict=True)
    )
    yield Check("chapters", before.chapters, after.chapters, same if before.chapters else None)
    gone = {key.removeprefix("tag ") for key in joined.left_out}
    wanted = {key.lower(): value for key, value in before.tags.items() if key.lower() not in NOT_KEPT | gone}
    got = {key.lower(): value for key, value in after.tags.items()}
    lacking = {key: value for key, value in wanted.items() if not _same_tag(key, value, got.get(key))}
    yield Check("tags", lacking, {key: got.get(key) for key in lacking}, not lacking if wanted else None)


def _streams(before: Facts, after: Facts, joined: Joined) -> Iterator[Check]:
    gone = sum(words.startswith("stream ") for words in joined.left_out)
    kept = [stream for stream in before.beside if _packets(stream, after.beside)]
    count = len(before.beside) - gone
    told = [(stream.kind, stream.codec, len(stream.packets)) for stream in before.beside]
    got = [(stream.kind, stream.codec, len(stream.packets)) for stream in after.beside]
    whole = len(kept) >= count == len(after.beside)
    yield Check("packets", told, got, whole if before.beside else None)
    roles = [(stream.language, stream.roles) for stream in kept]
    other = [(stream.language, stream.roles) for stream in after.beside]
    yield Check("roles", roles, other, roles == other if kept else None)


def _packets(stream: Beside, after: Sequence[Beside]) -> bool:
    """Whether a stream is among those after, packet for packet."""
    for other in after:
        text = stream.codec in TEXTS and other.codec == "mov_text" and stream.codec != "mov_text"
        alike = len(stream.packets) == len(other.packets) if text else stream.packets == other.packets
        if stream.kind == other.kind and alike and all(map(_close, stream.starts, other.starts)):
            return True
    return False


def _same_tag(key: str, before: str, after: str | None) -> bool:
    if key.startswith("location") and after is not None:
        return before.rstrip("/")[:6] == after.rstrip("/")[:6]  # mp4 writes four decimals
    return before == after


def _same(name: str, before: object, after: object) -> Check:
    return Check(name, before, after, before == after)


def _close(one: object, other: object) -> bool:
    return isinstance(one, float) and isinstance(other, float) and abs(one - other) <= CLOSE
