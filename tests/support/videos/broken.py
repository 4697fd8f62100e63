"""Files that are no whole videos, made from clips, and what must be said of them."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import cv2
import numpy as np

from support.videos.writing import MUXERS
from velum_pipeline.errors import CorruptMedia, EmptyMedia, MediaError, TooManyPixels, TruncatedMedia, UnsupportedMedia

Clips = Callable[[str], Path]
SOF = b"\xff\xc0\x00\x11\x08"
"""Where a JPEG of three components says its size (ITU-T T.81, B.2.2): height and width follow."""
KEY = "00112233445566778899aabbccddeeff"


@dataclass(frozen=True)
class Broken:
    """A file that must be refused. make: its bytes. refused: the error's class. because: words that its text has."""

    name: str
    make: Callable[[Clips], bytes]
    refused: type[MediaError]
    because: str


def cut(clip: str, part: float) -> Callable[[Clips], bytes]:
    """The first part of a clip's bytes."""

    def make(clips: Clips) -> bytes:
        data = clips(clip).read_bytes()
        return data[: int(part * len(data))]

    return make


def rewritten(name: str, container: str, **options: str) -> Callable[[Clips], bytes]:
    """A clip's packets in another container."""

    def make(clips: Clips) -> bytes:
        return remuxed(clips(name), MUXERS[container], **options)

    return make


def remuxed(path: Path, muxer: str, *, video: bool = True, **options: str) -> bytes:
    """A file's packets in another container, with or without those of the video."""
    with TemporaryDirectory() as folder:
        target = Path(folder) / "remuxed"
        _remux(path, target, muxer, options, video=video)
        return target.read_bytes()


def _remux(path: Path, target: Path, muxer: str, options: dict[str, str], *, video: bool) -> None:
    with av.open(str(path)) as given, av.open(str(target), "w", format=muxer, options=options) as out:
        streams = {
            stream.index: out.add_stream_from_template(stream)
            for stream in given.streams
            if stream.type == "audio" or (video and stream.type == "video")
        }
        for packet in given.demux():
            if packet.dts is not None and packet.stream.index in streams:
                packet.stream = streams[packet.stream.index]
                out.mux(packet)


def truncated_rewritten(name: str, container: str, part: float, **options: str) -> Callable[[Clips], bytes]:
    """The first part of a clip's packets in another container."""

    def make(clips: Clips) -> bytes:
        data = remuxed(clips(name), MUXERS[container], **options)
        return data[: int(part * len(data))]

    return make


def damaged(path: Path, seed: int, bytes_each: int = 40, places: int = 3) -> bytes:
    """A file with noise in its middle: between 40 % and 60 % of its bytes, so in packets and not in an index."""
    chance, data = random.Random(seed), bytearray(path.read_bytes())
    for _ in range(places):
        at = chance.randrange(4 * len(data) // 10, 6 * len(data) // 10)
        data[at : at + bytes_each] = chance.randbytes(bytes_each)
    return bytes(data)


def jpeg_sizes(data: bytes, width: int, height: int, skipped: int = 0) -> bytes:
    """Motion JPEG whose frames, from number ``skipped`` on, announce another size."""
    changed, at = bytearray(data), 0
    while (at := changed.find(SOF, at)) >= 0:
        if skipped <= 0:
            changed[at + 5 : at + 9] = struct.pack(">HH", height, width)
        skipped, at = skipped - 1, at + 9
    return bytes(changed)


def avi_size(data: bytes, width: int, height: int) -> bytes:
    """An AVI whose header announces another size."""
    at = data.find(b"strf") + 12
    return data[:at] + struct.pack("<II", width, height) + data[at + 8 :]


def avi_rate(data: bytes, rate: int, scale: int) -> bytes:
    """An AVI whose header announces another rate."""
    at = data.find(b"strh") + 28
    return data[:at] + struct.pack("<II", scale, rate) + data[at + 8 :]


def without_frames(container: str, **options: str) -> bytes:
    """A container with a video track and nothing in it."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=MUXERS[container], options=options) as out:
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        out.start_encoding()
    return buffer.getvalue()


def _picture(extension: str) -> bytes:
    done, data = cv2.imencode(extension, np.full((120, 160, 3), 90, np.uint8))
    assert done
    return data.tobytes()


def _huge(side: int) -> Callable[[Clips], bytes]:
    return lambda clips: jpeg_sizes(avi_size(clips("mjpeg.avi").read_bytes(), side, side), side, side)


_CUTS = [
    Broken(f"{name} cut at {part:.0%}", cut(name, part), TruncatedMedia, "the file ends")
    for name in ("h264.mp4", "tracks.mp4", "prores.mov", "tracks.mkv", "vp9.webm", "mjpeg.avi", "h264-bframes.avi")
    for part in (0.02, 0.1, 0.5, 0.9, 0.99)
]
_FASTSTART = [
    Broken(
        f"index first, cut at {part:.0%}",
        truncated_rewritten("h264.mp4", "mp4", part, movflags="faststart"),
        TruncatedMedia,
        "the file ends",
    )
    for part in (0.02, 0.1, 0.5, 0.99)
]
_OTHERS = [
    Broken("no bytes", lambda _: b"", EmptyMedia, "the file is empty"),
    Broken("text", lambda _: b"Not a video.\n" * 500, UnsupportedMedia, "no mp4, mov, mkv, webm, avi or ts"),
    Broken("playlist", lambda _: b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", UnsupportedMedia, "no mp4, mov"),
    Broken("list of files", lambda _: b"ffconcat version 1.0\nfile '/etc/passwd'\n", UnsupportedMedia, "no mp4, mov"),
    Broken("a JPEG named mp4", lambda _: _picture(".jpg"), UnsupportedMedia, "a picture (image/jpeg), not a video"),
    Broken("a PNG named mp4", lambda _: _picture(".png"), UnsupportedMedia, "a picture (image/png), not a video"),
    Broken("a WebP named avi", lambda _: _picture(".webp"), UnsupportedMedia, "a picture (image/webp), not a video"),
    Broken("no index", lambda clips: clips("h264.mp4").read_bytes()[:32], TruncatedMedia, "no index (box moov)"),
    Broken("mp4 without frames", lambda _: without_frames("mp4", movflags="empty_moov"), EmptyMedia, "no frames"),
    Broken("mov without frames", lambda _: without_frames("mov", movflags="empty_moov"), EmptyMedia, "no frames"),
    Broken("mkv without frames", lambda _: without_frames("mkv"), EmptyMedia, "before its first frame"),
    Broken("avi without frames", lambda _: without_frames("avi"), EmptyMedia, "no frames"),
    Broken("mp4 of sound", lambda clips: remuxed(clips("h264.mp4"), "mp4", video=False), UnsupportedMedia,
           "holds no video stream"),
    Broken("mkv of sound", lambda clips: remuxed(clips("h264.mp4"), "matroska", video=False), UnsupportedMedia,
           "holds no video stream"),
    Broken("encrypted", rewritten("h264.mp4", "mp4", encryption_scheme="cenc-aes-ctr", encryption_key=KEY,
                                  encryption_kid=KEY), UnsupportedMedia, "h264 video is encrypted"),
    Broken("12000 x 12000", _huge(12000), TooManyPixels, "12000 x 12000 pixels; the limit is 36000000"),
    Broken("65500 x 65500", _huge(65500), TooManyPixels, "65500 x 65500 pixels"),
    Broken("frames larger than announced", lambda clips: jpeg_sizes(clips("mjpeg.avi").read_bytes(), 20000, 20000),
           CorruptMedia, "no frame of the mjpeg video decodes"),
    Broken("a million frames per second", lambda clips: avi_rate(clips("mjpeg.avi").read_bytes(), 1_000_000, 1),
           UnsupportedMedia, "more than 1000 per second"),
    Broken("2 ** 32 frames per second", lambda clips: avi_rate(clips("mjpeg.avi").read_bytes(), 2**32 - 1, 1),
           UnsupportedMedia, "more than 1000 per second"),
]  # fmt: skip
BROKEN = {each.name: each for each in (*_CUTS, *_FASTSTART, *_OTHERS)}
