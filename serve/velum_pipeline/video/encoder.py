"""Encodes one segment's frames into a file of its own.

The file is NUT: it takes any codec and any time base, and holds the frames' times as they are. A segment begins with a
key frame and nothing in it refers to another segment; all segments of a video have the same parameter sets, so that
their packets can be put one after the other into one track (see `join`).
"""

from __future__ import annotations

import os
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import cast

import av
import numpy as np
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

from velum_pipeline.errors import StageFailed, UnsupportedEncoder
from velum_pipeline.video.description import Video
from velum_pipeline.video.encoding import CODECS, Encoding, interlaced, options, pixel_format, trial_options
from velum_pipeline.video.planes import require_alike
from velum_pipeline.video.scheduling import ordinary_scheduling

__all__ = ["Encoding", "SegmentWriter", "require", "shift"]

NUT = {"avoid_negative_ts": "disabled", "write_index": "0"}
"""Times as they are, though an encoder's first decoding times lie below zero; nobody seeks in these files."""
TEN_BITS = 1023
"""The largest sample of ten bits; x264 ends the process when it meets a larger one."""
SVT_LOG = "SVT_LOG"
"""The variable by which SVT-AV1 is told what to write to standard error: 1 for errors only. It has no option for it."""
TRIAL = (256, 256)
"""Pixels of the picture that ``require`` encodes; NVENC takes none below 145 x 49."""


def require(codec: str) -> None:
    """Raise UnsupportedEncoder, with what is missing, unless videos can be written with this codec here."""
    encoding = Encoding(codec, CODECS[codec].presets[0]) if codec in CODECS else Encoding(codec)
    facts = encoding.facts
    try:
        context = cast(VideoCodecContext, av.CodecContext.create(facts.encoder, "w"))
        context.width, context.height = TRIAL
        context.pix_fmt = facts.formats["yuv420p"]
        context.time_base = Fraction(1, 25)
        context.options = trial_options(codec)
        _open(context)
    except (av.FFmpegError, ValueError) as error:
        wanted = "an NVIDIA card with a driver that offers NVENC" if "nvenc" in codec else "FFmpeg's libraries with it"
        raise UnsupportedEncoder(
            f"video codec {codec} cannot be used on this machine ({error}); it needs {wanted}. "
            "Set another, x264 runs everywhere"
        ) from error


def shift(video: Video) -> int:
    """What is added to times in segments' files, in the video's time base: NUT has none below zero."""
    return max(-int(video.pts[0]), 0)


class SegmentWriter:
    """Writes frames, in order, to a file. A context manager: when the block ends in an error the file is removed.

    target: a path, or memory for what must not be on a disk. threads: of the encoder, 0 for as many as there are cores.
    The same frames give nearly the same file: x264's macroblock trees read memory that nobody wrote, where pictures are
    small.

    Raises UnsupportedEncoder where the encoder does not open, StageFailed where a frame is not what ``video`` says, or
    the encoder or the disk fails; no file is left then.
    """

    def __init__(self, target: Path | BytesIO, video: Video, encoding: Encoding, threads: int = 0) -> None:
        self.target = target
        self._video = video
        self._shift = shift(video)
        self._last: int | None = None
        try:
            file = str(target) if isinstance(target, Path) else target
            self._container: OutputContainer = av.open(file, "w", format="nut", container_options=NUT)
            self._stream = _stream(self._container, video, encoding, threads)
            self._container.start_encoding()
        except (av.FFmpegError, OSError) as error:
            self._remove()
            raise StageFailed(f"a segment's file cannot be begun: {error}") from error
        except BaseException:
            self._remove()
            raise

    def write(self, frame: av.VideoFrame) -> None:
        """Encode a frame: in the video's pixel format and size, ``pts`` set in its time base and rising."""
        pts = self._checked(frame)
        frame.pict_type = PictureType.NONE  # the source's choice of key frames is not ours
        frame.pts = pts + self._shift
        try:
            _bounded(frame)
            self._put(frame)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._failed(error) from error
        finally:
            frame.pts = pts
        self._last = pts

    def close(self) -> None:
        """Write what the encoder holds back, and the file's end."""
        try:
            self._put(None)
            self._container.close()
        except (av.FFmpegError, OSError, ValueError) as error:
            raise self._failed(error) from error

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._remove()

    def _checked(self, frame: av.VideoFrame) -> int:
        require_alike(frame, self._video)
        pts = frame.pts
        if pts is None or frame.time_base not in (None, self._video.time_base):
            raise StageFailed("a frame without a time in the video's time base came to be encoded")
        if self._last is not None and pts <= self._last:
            raise StageFailed(f"a frame at {pts} came after the one at {self._last}")
        return pts

    def _put(self, frame: av.VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self._container.mux_one(packet)

    def _failed(self, error: Exception) -> StageFailed:
        self._remove()
        return StageFailed(f"a segment cannot be written: {error}")

    def _remove(self) -> None:
        try:
            if hasattr(self, "_container"):
                self._container.close()
        except (av.FFmpegError, OSError, ValueError):
            pass  # it failed before; the file goes either way
        finally:
            if isinstance(self.target, Path):
                self.target.unlink(missing_ok=True)


def _stream(container: OutputContainer, video: Video, encoding: Encoding, threads: int) -> VideoStream:
    stream = container.add_stream(encoding.facts.encoder, rate=video.rate)
    if not isinstance(stream, VideoStream):
        raise UnsupportedEncoder(f"{encoding.codec} encodes no videos")
    context = stream.codec_context
    context.width, context.height = video.width, video.height
    context.pix_fmt = pixel_format(encoding, video)
    context.time_base = video.time_base
    context.framerate = video.rate
    context.thread_count = threads
    colour = video.colour
    context.color_range, context.color_primaries = colour.range, colour.primaries
    context.color_trc, context.colorspace = colour.transfer, colour.matrix
    if video.aspect:
        context.sample_aspect_ratio = video.aspect
    if interlaced(encoding, video):
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
    context.options = options(encoding, video, threads)
    try:
        _open(context)
    except av.FFmpegError as error:
        raise UnsupportedEncoder(f"video codec {encoding.codec} cannot encode this video: {error}") from error
    return stream


def _open(context: VideoCodecContext) -> None:
    """Open an encoder that writes nothing but errors to standard error, and leaves threads' priorities alone."""
    os.environ.setdefault(SVT_LOG, "1")
    with ordinary_scheduling():
        context.open()


def _bounded(frame: av.VideoFrame) -> None:
    """Cut samples to ten bits where the format has ten in words of sixteen, in place."""
    if not frame.format.name.endswith("10le"):
        return
    if all(np.frombuffer(memoryview(plane), np.uint16).max(initial=0) <= TEN_BITS for plane in frame.planes):
        return
    frame.make_writable()
    for plane in frame.planes:
        samples = np.frombuffer(memoryview(plane), np.uint16)
        np.minimum(samples, TEN_BITS, out=samples)
