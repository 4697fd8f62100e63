"""What hides each track, made once and held for a while, painted into a frame's planes.

A picture's cover is as secret as the floor makes it because there is one of it. A second of video is twenty-five
pictures of the same object: were each covered anew, they would be as many copies for an attacker to put together
(docs/security.md), and the cover would flicker. So a track's cover, the few disturbed cells of `redact.floor`, is made
from the first frame of a period that shows it, and is shown unchanged, stretched to the object's size, until the
period ends. Periods are counted from the video's first frame, and the noise is drawn from a secret of the task, the
frame and the place: processes that work on different parts of a video show the same cover if they have seen
WARM_UP frames before their own.

Even so a minute is thirty copies, each of a box that lies a little differently. Who has 31 copies of each of 300 faces,
boxes off by 4 % of their sides, and puts their 2 x 2 cells together by Bayes' rule, pairs 83 % with their originals. So
all cells of a face or a plate, which are told apart by what is inside them, have one mean, rounded as ever, and differ
by noise alone. That looks as before and pairs 26 % (64 copies: 90 and 32 %; one: 9 and 2 %).

A cover is never made anew inside its period. Where the object has grown its cells grow with it; where it has shrunk or
turned so that the floor lets fewer through, the held cells are averaged to so few, and stay so few. What is shown is
then a function of what was shown before, so it costs no further copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from velum_pipeline.errors import StageFailed
from velum_pipeline.media.picture import Layout
from velum_pipeline.options import Method
from velum_pipeline.redact import cells, floor
from velum_pipeline.redact.apply import asked
from velum_pipeline.regions import Region
from velum_pipeline.video.chroma import Placed, placed
from velum_pipeline.video.colour import WHITE, Coding, Floats
from velum_pipeline.video.description import Video
from velum_pipeline.video.planes import Plane, samples
from velum_pipeline.video.reader import Decoded
from velum_pipeline.video.turns import stored_region

PERIOD = 48
"""Frames for which a cover is held: two seconds. An object that is seen for a minute is 31 copies and not 1500."""
WARM_UP = PERIOD - 1
"""Frames before a part that have to be covered, in order, for the part to be covered as in the whole."""
SECRET_BYTES = 16
Count = tuple[int, int]
"""Across, down."""


@dataclass
class _Cover:
    """What a track is shown as.

    cells: disturbed, float32 (down, across, C), C colours in 0..255. blocks: how many ``pixelate`` spreads them to.
    seed: of the blocks' grain. codes: both as samples, for each plane; none until they are first shown.
    """

    cells: Floats
    blocks: Count
    seed: int
    codes: list[Floats] = field(default_factory=list)

    @property
    def count(self) -> Count:
        """Of the cells."""
        return self.cells.shape[1], self.cells.shape[0]


class Covers:
    """Hides regions in the frames of one video, in order of display."""

    def __init__(self, video: Video, method: Method, key: bytes) -> None:
        """key: at least SECRET_BYTES random bytes of the task, the same for all parts of the video, told to nobody."""
        if len(key) < SECRET_BYTES:
            raise ValueError(f"a key of {len(key)} bytes; it must have {SECRET_BYTES} or more")
        self._video = video
        self._coding = Coding.of(video)
        self._method = method
        self._key = key
        self._period = -1
        self._held: dict[int, _Cover] = {}
        colours = np.zeros((1, 1, 1 if self._coding.grey else 3), np.float32)
        self._black = _planar(self._coding.codes(colours))

    def apply(self, decoded: Decoded, regions: Sequence[Region | None], tracks: Sequence[int]) -> None:
        """Hide the regions of one frame, in place; ``tracks`` says whose each is. Nothing else of it changes.

        regions: of the displayed picture; None where there is nothing to hide. Frames come in order of ordinals; a
        track has one number as long as the video is worked on. Raises StageFailed when the frame or a region does not
        belong to the video.
        """
        if self._method is Method.DETECT:
            return
        if any(region is not None for region in regions):
            decoded.frame.make_writable()  # a decoder may still refer to it; mostly it does not any more: no copy
        planes = samples(decoded.frame, self._video)
        if decoded.ordinal // PERIOD != self._period:
            self._period = decoded.ordinal // PERIOD
            self._held.clear()
        interlaced = self._video.field_order != "progressive" or decoded.frame.interlaced_frame
        for region, track in zip(regions, tracks, strict=True):
            if region is not None:
                own = self._stored(region)
                self._hide(planes, own, placed(own, self._video, interlaced), int(track), decoded.ordinal)

    def _stored(self, region: Region) -> Region:
        video = self._video
        region = stored_region(region, video.turn, video.width, video.height)
        rows, columns = region.rows, region.columns
        if min(rows.start, columns.start) < 0 or rows.stop > video.height or columns.stop > video.width:
            raise StageFailed(f"a region lies outside the picture: {columns} x {rows}")
        return region

    def _hide(
        self, planes: Sequence[Plane], region: Region, places: Sequence[Placed], track: int, ordinal: int
    ) -> None:
        shown = self._black
        if self._method is not Method.BLACKEN:
            cover = self._held.get(track)
            if cover is None:
                cover = self._held[track] = self._made(planes, region, places, ordinal)
            shown = self._shown(cover, region)
        smooth = self._method is Method.BLUR
        for plane, (x, y, strength), codes in zip(planes, places, shown, strict=True):
            cells.paint(plane, 1, x, y, strength, codes, smooth)

    def _made(self, planes: Sequence[Plane], region: Region, places: Sequence[Placed], ordinal: int) -> _Cover:
        count = floor.cells(*asked(region))
        means = np.concatenate(
            [
                cells.averaged(plane, 1, *place, region.segment, count)
                for plane, place in zip(planes, places, strict=True)
            ],
            axis=2,
        )
        seed = self._seed(region, ordinal)
        layout = Layout.GREY if self._coding.grey else Layout.BGR
        colours = self._coding.colours(self._neutral(means))
        if region.object_class.relative_kernel:
            colours[:] = colours.mean(axis=(0, 1))
        shown = floor.disturb(colours, layout, region.object_class, WHITE, _random(seed))
        return _Cover(shown, floor.blocks(*asked(region)), seed)

    def _neutral(self, means: Floats) -> Floats:
        """Means where cells without pixels of their own, which are 0, have no chroma instead of the strongest."""
        means[..., 1:][means[..., 1:] == 0] = self._coding.middle
        return means

    def _shown(self, cover: _Cover, region: Region) -> list[Floats]:
        """The codes to be shown for each plane, float32 (down, across, 1): the same again while the counts are."""
        wish = asked(region)
        cells_now, blocks_now = _least(cover.count, floor.cells(*wish)), cover.blocks
        if self._method is Method.PIXELATE:
            blocks_now = _least(cover.blocks, floor.blocks(*wish))
        if not cover.codes or (cells_now, blocks_now) != (cover.count, cover.blocks):
            cover.cells, cover.blocks = _averaged(cover.cells, cells_now), blocks_now
            colours = cover.cells
            if self._method is Method.PIXELATE:
                colours = floor.grain(colours, *blocks_now, WHITE, _random(cover.seed + 1))
            cover.codes = _planar(self._coding.codes(colours))
        return cover.codes

    def _seed(self, region: Region, ordinal: int) -> int:
        """Of 127 bits and even: the next is the grain's."""
        rows, columns = region.strength.shape
        place = f"{ordinal} {region.object_class} {region.x} {region.y} {columns} {rows}"
        digest = hashlib.blake2b(place.encode(), key=self._key[:64], digest_size=SECRET_BYTES)
        return int.from_bytes(digest.digest(), "little") & ~1


def _random(seed: int) -> np.random.Generator:
    """A cipher's kin, as for pictures (`redact.apply`)."""
    return np.random.Generator(np.random.Philox(key=seed))


def _least(one: Count, other: Count) -> Count:
    return min(one[0], other[0]), min(one[1], other[1])


def _averaged(cells: Floats, count: Count) -> Floats:
    down, across, channels = cells.shape
    if (across, down) == count:
        return cells
    averaged = np.asarray(cv2.resize(cells, count, interpolation=cv2.INTER_AREA), np.float32)
    return averaged.reshape(*count[::-1], channels)


def _planar(codes: Floats) -> list[Floats]:
    return [np.ascontiguousarray(codes[..., plane : plane + 1]) for plane in range(codes.shape[2])]
