"""When each frame is shown, from the packets alone; and from a decoder where the packets do not say.

Most files give every packet the time at which its frame is shown: sorted, these are the frames in order of display.
AVI does not, which matters with B-frames, and broken streams have gaps, doubles, or clocks that start again. Their
frames are counted as the decoder gives them out, which costs one decoding of the whole file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from av.packet import Packet
from av.video.stream import VideoStream
from numpy.typing import NDArray

from velum_pipeline.errors import UnsupportedMedia

MISSING = -(2**63)
"""FFmpeg's AV_NOPTS_VALUE."""
REORDERED = 64
"""Frames that one may be shown before or after its place in the order of decoding; H.264 and HEVC know 16 at most."""
VP8_SHOWN = 0x10
"""Of a VP8 frame's first byte (RFC 6386, 9.1); what is not shown is only there to be referred to."""


@dataclass
class Packets:
    """What the packets of a stream say, in order of decoding."""

    pts: array[int] = field(default_factory=lambda: array("q"))
    dts: array[int] = field(default_factory=lambda: array("q"))
    durations: array[int] = field(default_factory=lambda: array("q"))
    flags: bytearray = field(default_factory=bytearray)
    size: int = 0

    KEY = 1
    HIDDEN = 2

    def add(self, packet: Packet[VideoStream], codec: str) -> None:
        """Note one more packet."""
        hidden = packet.is_discard or (codec == "vp8" and packet.size > 0 and not memoryview(packet)[0] & VP8_SHOWN)
        self.pts.append(MISSING if packet.pts is None else packet.pts)
        self.dts.append(MISSING if packet.dts is None else packet.dts)
        self.durations.append(packet.duration or 0)
        self.flags.append(self.KEY * packet.is_keyframe | self.HIDDEN * hidden)
        self.size += packet.size

    def all_keys(self) -> bool:
        """Whether decoding can begin at every packet."""
        return all(flag & self.KEY for flag in self.flags)

    def __len__(self) -> int:
        return len(self.pts)


@dataclass(frozen=True)
class Timeline:
    """pts: (N,) int64, strictly rising. keys: (K,) int64, ordinals. end: when the last frame ends. See `Video`."""

    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    end: int


def timeline(packets: Packets, step: int) -> Timeline | None:
    """The frames in order of display, or None where the packets do not tell.

    What comes before the first key frame cannot be decoded and is no frame. step: a frame's usual length, for the last
    one's where its packet does not say.
    """
    flags = np.frombuffer(packets.flags, np.uint8)
    first = int(np.argmax(flags & packets.KEY)) if len(flags) else 0
    pts, durations, flags = _array(packets.pts)[first:], _array(packets.durations)[first:], flags[first:]
    if not len(flags) or not flags[0] & packets.KEY or (pts == MISSING).any():
        return None
    early = pts < pts[0]
    leading = int(np.argmin(np.append(early[1:], False)))
    if early[1 + leading :].any() or (early & (flags & packets.KEY != 0)).any():
        return None  # the clock has started again
    shown = (flags & packets.HIDDEN == 0) & ~early
    key_pts = pts[shown & (flags & packets.KEY != 0)]
    pts, durations = pts[shown], durations[shown]
    order = np.argsort(pts, kind="stable")
    if not len(pts) or not _near(order):
        return None
    pts, last = pts[order], int(durations[order[-1]])
    if (np.diff(pts) <= 0).any():
        return None
    keys = np.union1d(np.searchsorted(pts, key_pts), np.zeros(1, np.int64)).astype(np.int64)
    return Timeline(pts, keys, int(pts[-1]) + (last or _usual(pts, step)))


def counted(shown: Iterable[tuple[int | None, bool]], step: int, second: int) -> Timeline:
    """Frames known by their place in the decoder's output.

    shown: the pts that each came with, and whether it is a key frame. Gaps are filled by ``step``, a clock that starts
    again goes on where it stopped, and what comes twice moves on by one unit. step, second: in units of the time base.
    """
    times, keys = array("q"), array("q", [0])
    shift, last = 0, None
    for each, key in shown:
        if key and times:
            keys.append(len(times))
        now = (last + step if last is not None else 0) if each is None else each + shift
        if last is not None and now <= last:
            if last - now > second:
                shift += last + step - now
                now = last + step
            else:
                now = last + 1
        times.append(now)
        last = now
    pts = _array(times)
    if not len(pts):
        raise UnsupportedMedia("no frame of the video decodes")
    return Timeline(pts, _array(keys), int(pts[-1]) + _usual(pts, step))


def _usual(pts: NDArray[np.int64], step: int) -> int:
    """A frame's length as most have it."""
    return max(1, int(np.median(np.diff(pts[-250:]))) if len(pts) > 1 else step)


def _near(order: NDArray[np.int64]) -> bool:
    """Whether no frame is far from where it was before it was sorted."""
    return not (np.abs(order - np.arange(len(order))) > REORDERED).any()


def _array(values: array[int]) -> NDArray[np.int64]:
    return np.array(values, np.int64)
