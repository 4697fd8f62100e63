"""One segment's files: redacted frames and their records."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from velum_pipeline.options import Method
from velum_pipeline.regions import Region
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoder import SegmentWriter
from velum_pipeline.video.looking import Known
from velum_pipeline.video.records import Recorder, Shown
from velum_pipeline.video.segments import Segment
from velum_pipeline.video.wishes import Wishes


@dataclass(frozen=True)
class SegmentResult:
    """What came of one segment, in files that whoever takes them removes.

    path: the redacted frames in a NUT file, None for method ``detect``. records, tracks: see `records.Records`. frames:
    how many were written. skipped: how many did not decode, or came out of the decoder damaged.
    """

    path: Path | None
    records: Path
    tracks: bytes
    frames: int
    skipped: int


class Part:
    """Writes one segment. Use as a context manager; when the block ends in an error no file is left."""

    def __init__(self, video: Video, segment: Segment, wishes: Wishes, folder: Path) -> None:
        self._video = video
        self._segment = segment
        self._name = wishes.name
        path = folder / f"part-{segment.number:05}"
        self._path = None if wishes.options.method is Method.DETECT else path.with_suffix(".nut")
        self._records = path.with_suffix(".jsonl")
        self._encoding, self._threads = wishes.encoding, wishes.threads
        self._recorder = Recorder(self._records, wishes.options.method)
        self._writer: SegmentWriter | None = None
        self._stack = ExitStack()
        self._frames = 0

    def __enter__(self) -> Part:
        with ExitStack() as stack:
            stack.push(self._remove_after_error)
            stack.enter_context(self._recorder)
            if self._path is not None:
                writer = SegmentWriter(self._path, self._video, self._encoding, self._threads)
                self._writer = stack.enter_context(writer)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)  # type: ignore[arg-type]

    def write(self, known: Known, areas: Sequence[Region | None]) -> None:
        """Add a frame, redacted; frames come in order. Raises StageFailed when it cannot be written."""
        video, ordinal = self._video, known.decoded.ordinal
        now, then = int(video.pts[ordinal]), int(video.pts[ordinal + 1]) if ordinal + 1 < video.frames else video.end
        shown = Shown(
            self._name,
            (video.displayed_width, video.displayed_height),
            time=float((now - int(video.pts[0])) * video.time_base),
            duration=float((then - now) * video.time_base),
        )
        if self._writer is not None:
            self._writer.write(known.decoded.frame)
        self._recorder.frame(shown, known.tracked, areas)
        self._frames += 1

    def result(self) -> SegmentResult:
        """What came of it, after the block has ended well."""
        return SegmentResult(
            path=self._path,
            records=self._records,
            tracks=self._recorder.tracks(),
            frames=self._frames,
            skipped=self._segment.stop - self._segment.first - self._frames,
        )

    def _remove_after_error(self, kind: object, *_: object) -> None:
        if kind is None:
            return
        self._records.unlink(missing_ok=True)
        if self._path is not None:
            self._path.unlink(missing_ok=True)
