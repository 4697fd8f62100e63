"""`velum anonymize` for videos: each through the pipeline on this machine, with a bar where somebody looks on."""

import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import typer

from velum.api.task import TaskSpec
from velum.settings import VideoSettings
from velum_cli.encoders import usable
from velum_cli.results import Done
from velum_pipeline import process
from velum_pipeline.detect.detector import Detector
from velum_pipeline.errors import OptionError, PipelineError
from velum_pipeline.video import clip
from velum_pipeline.video.encoding import Encoding
from velum_pipeline.video.probe import VideoLimits, probe
from velum_pipeline.video.wishes import Wishes
from velum_serve.options import pipeline_options

KEY_BYTES = 16
"""Of the key that a video's noise comes from. It is made anew for each and kept nowhere."""


@dataclass(frozen=True)
class Way:
    """How videos are worked on. every: of so many frames one is looked at."""

    detector: Detector
    spec: TaskSpec
    limits: VideoLimits
    encoding: Encoding
    every: int


def way(settings: VideoSettings, detector: Detector, spec: TaskSpec, every: int) -> Way:
    """Return how these settings have videos worked on, in this process, which is set up for it.

    Raises:
        UnsupportedEncoder: this machine cannot write them so.
    """
    encoding = usable(settings, spec.quality)
    process.prepare()
    limits = VideoLimits(frame_pixels=settings.frame_pixels, rate=settings.frame_rate)
    return Way(detector, spec, limits, encoding, every)


def anonymize_clip(source: Path, target: Path, way: Way) -> Done:
    """Anonymize one video into a file; its folder is made where there is none, and on an error nothing is left."""
    made = [folder for folder in (target.parent, *target.parent.parents) if not folder.exists()]
    try:
        result = _into(source, target, way)
    except OSError as error:
        return Done(source, None, {}, f"{error.strerror or error}")
    except PipelineError as error:
        return Done(source, None, {}, str(error))
    finally:
        _remove(made)
    return Done(source, target, result.counts, notes=tuple(_notes(result)))


def _into(source: Path, target: Path, way: Way) -> clip.Clip:
    options = pipeline_options(way.spec)
    if options.lossless:
        raise OptionError("lossless", "videos are always encoded anew; leave it out")

    def opener() -> BinaryIO:
        return source.open("rb")

    video = probe(opener, way.limits)
    wishes = Wishes(options, way.encoding, source.name, secrets.token_bytes(KEY_BYTES), way.every)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _bar(source.name, video.frames) as progress:
        return clip.anonymize(opener, video, wishes, way.detector.detect, target, progress=progress)


@contextmanager
def _bar(name: str, frames: int) -> Iterator[Callable[[int], None]]:
    """Give what is told how many frames are done; a bar on standard error shows it where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with typer.progressbar(length=frames, label=name, show_pos=True, file=sys.stderr) as bar:
        yield lambda done: bar.update(done - bar.pos)


def _notes(result: clip.Clip) -> Iterator[str]:
    yield f"{result.frames} frames"
    if result.skipped:
        yield f"{result.skipped} frames could not be decoded and are not in it"
    yield from (f"without {each}" for each in result.left_out)
    yield from result.converted


def _remove(folders: list[Path]) -> None:
    """Remove those of the folders made for a result that are empty: it did not come. The deepest is first."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
