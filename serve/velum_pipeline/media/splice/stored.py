"""Between the picture as displayed and its samples as stored: with ``lossless`` a turned JPEG stays turned.

Its blocks can only be kept in their own order, so the Orientation tag stays beside them; boxes, masks and metadata are
in pixels of the displayed picture all the same.
"""

from __future__ import annotations

import re

import numpy as np

from velum_pipeline.media import exif as exifs
from velum_pipeline.media import ifd as ifds
from velum_pipeline.media.ifd import EXIF_POINTER, LONG
from velum_pipeline.media.orientation import upright
from velum_pipeline.media.picture import Samples

OPPOSITE = {6: 8, 8: 6}
"""Turning back is another turn for these; every other one undoes itself."""
WIDTH_TAG, HEIGHT_TAG = 0xA002, 0xA003
NOTHING = b"II*\0\x08\0\0\0" + bytes(6)
"""An EXIF block of one empty directory."""
QUARTER_TURNS = 5
"""From this orientation on, width and height change places."""
Rectangle = tuple[int, int, int, int]
"""x, y, width, height."""


def stored(displayed: Samples, orientation: int) -> Samples:
    """Samples as the file stores them, from samples as displayed."""
    return upright(displayed, OPPOSITE.get(orientation, orientation))


def stored_rectangle(area: Rectangle, orientation: int, width: int, height: int) -> Rectangle:
    """Where a rectangle of the displayed width x height picture lies in the stored one."""
    x, y, wide, high = area
    right, below = width - x - wide, height - y - high
    return {
        2: (right, y, wide, high),
        3: (right, below, wide, high),
        4: (x, below, wide, high),
        5: (y, x, high, wide),
        6: (y, right, high, wide),
        7: (below, right, high, wide),
        8: (below, x, high, wide),
    }.get(orientation, area)


def shown_rectangle(area: Rectangle, orientation: int, width: int, height: int) -> Rectangle:
    """Where a rectangle of the stored width x height picture is displayed."""
    return stored_rectangle(area, OPPOSITE.get(orientation, orientation), width, height)


def turned_exif(exif: bytes | None, orientation: int, width: int, height: int) -> bytes | None:
    """A cleaned block that says how its stored width x height picture is turned.

    Rather no other fact than a picture that lies on its side: a block that would not fit its segment is left out.
    """
    if not 2 <= orientation <= 8:
        return exif
    tree = exifs.tree_of(exif) or ifds.parse(NOTHING)
    first = tree.pages[0]
    tree.put(first, exifs.ORIENTATION, orientation)
    details = first.children.get(EXIF_POINTER)
    if details and WIDTH_TAG in details.entries:
        tree.put(details, WIDTH_TAG, width, kind=LONG)
        tree.put(details, HEIGHT_TAG, height, kind=LONG)
    block = ifds.serialise(tree)
    return block if len(block) <= exifs.MAX_SEGMENT else turned_exif(None, orientation, width, height)


def turned_xmp(packet: bytes | None, orientation: int) -> bytes | None:
    """A cleaned packet whose tiff:Orientation, if it has one, is EXIF's."""
    if packet is None or not 2 <= orientation <= 8:
        return packet
    number = rb"\g<1>%d" % orientation
    packet = re.sub(rb"(tiff:Orientation\s*=\s*[\"'])\d+", number, packet)
    return re.sub(rb"(<tiff:Orientation>)\d+", number, packet)


def crop(displayed: Samples, area: Rectangle, orientation: int) -> Samples:
    """A rectangle of the stored picture, from its displayed samples; what reaches past an edge repeats the edge."""
    height, width = displayed.shape[:2]
    if orientation >= QUARTER_TURNS:
        width, height = height, width  # as stored
    x, y, wide, high = area
    inside = (x, y, min(wide, width - x), min(high, height - y))
    left, top, across, down = shown_rectangle(inside, orientation, width, height)
    part = stored(displayed[top : top + down, left : left + across], orientation)
    past = [(0, high - inside[3]), (0, wide - inside[2]), *[(0, 0)] * (part.ndim - 2)]
    return np.pad(part, past, mode="edge") if high > inside[3] or wide > inside[2] else part
