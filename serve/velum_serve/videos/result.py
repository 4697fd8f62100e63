"""From a video's parts to what the task gets: the video, its metadata, and where each frame is in it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from velum.api.status import ResultFile, TaskResult
from velum.tasks.order import WorkOrder
from velum_pipeline.options import Method, Options
from velum_pipeline.video.clip import require_frames
from velum_pipeline.video.description import Video
from velum_pipeline.video.join import join
from velum_pipeline.video.records import Records, assemble
from velum_serve.folder import AttemptFolder
from velum_serve.ranges import Ranges
from velum_serve.videos.parts import Fetched, Part, Parts
from velum_serve.videos.threads import Stopped

MP4 = "video/mp4"
JSON = "application/json"
OFFSETS = "application/octet-stream"

MOST_WORDS = 64
"""As many as a task's status has room for; a word for each, and for the rest together."""

WORD_LENGTH = 512


def write_result(
    order: WorkOrder,
    video: Video,
    options: Options,
    parts: Sequence[Part],
    store: Parts,
    source: Ranges,
    folder: AttemptFolder,
    temporary: Path | None,
    stopped: Stopped,
) -> TaskResult:
    """Join parts, given in order and complete, and write the files, in a thread of the caller's.

    Raises DamagedPart, Withdrawn, Unavailable, CorruptMedia where no frame was decoded, and what joining raises.
    """
    skipped = sum(part.skipped for part in parts)
    require_frames(sum(part.frames for part in parts), skipped)
    with TemporaryDirectory(prefix="velum-join-", dir=temporary) as name:
        metadata, index, target = (Path(name, each) for each in ("metadata.json", "metadata.index", "anonymised.mp4"))
        videos: list[Path] = []
        told = assemble(_fetched(parts, store, Path(name), videos, stopped), metadata, index)
        left_out, converted = video.left_out, tuple[str, ...]()
        files = {"metadata": (metadata, JSON), "metadata_index": (index, OFFSETS)}
        if options.method is not Method.DETECT:
            with source.trusted():
                made = join(source.opener(stopped), video, videos, target, gps=options.gps, skipped=skipped)
            left_out, converted = left_out + made.left_out, made.converted
            _remove(videos)
            files = {"anonymised": (target, MP4), **files}
        entries = {name: _written(*file, folder, stopped) for name, file in files.items()}
    return TaskResult(
        attempt=order.attempt,
        detections=dict(told.counts),
        frames=video.frames + video.lost,
        skipped_frames=skipped + video.lost,
        left_out=bounded(left_out),
        converted=bounded(converted),
        **entries,
    )


def bounded(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words, cut to what a status has room for."""
    if len(words) > MOST_WORDS:
        words = [*words[: MOST_WORDS - 1], f"{len(words) - MOST_WORDS + 1} more"]
    return tuple(word[:WORD_LENGTH] for word in words)


def _fetched(
    parts: Sequence[Part], store: Parts, scratch: Path, videos: list[Path], stopped: Stopped
) -> Iterator[Records]:
    """Fetch part after part; what is done with its records is done before the next one comes."""
    for part in parts:
        fetched: Fetched = store.fetch(part, scratch, stopped)
        if fetched.video is not None:
            videos.append(fetched.video)
        yield Records(fetched.records, fetched.tracks)
        fetched.records.unlink()


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        path.unlink()


def _written(path: Path, media_type: str, folder: AttemptFolder, stopped: Stopped) -> ResultFile:
    digest = folder.write_file(path.name, path, stopped)
    return ResultFile(key=folder.key(path.name), media_type=media_type, size=digest.size, sha256=digest.sha256)
