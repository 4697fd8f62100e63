"""The splice's two ends: what to keep of a file when it is decoded, and the file that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from velum_pipeline.errors import StageFailed
from velum_pipeline.media import jpeg
from velum_pipeline.media.picture import Picture
from velum_pipeline.media.splice import blocks, frame, markers, scans, verify, write
from velum_pipeline.media.splice.blocks import Patch
from velum_pipeline.media.splice.stored import QUARTER_TURNS, turned_exif, turned_xmp

JFIF = b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0"
"""Version 1.1, no density, no thumbnail (JFIF 1.02)."""
ADOBE = b"Adobe\0\x64\0\0\0\0"
"""Version 100, no flags; the colour transform follows."""


def keep(picture: Picture, data: bytes) -> None:
    """Keep beside a decoded JPEG what its splice needs: the file, and metadata that say how it is turned."""
    width, height = picture.width, picture.height
    turn = picture.encoding.orientation
    if turn >= QUARTER_TURNS:
        width, height = height, width
    old = picture.metadata
    picture.metadata = replace(old, exif=turned_exif(old.exif, turn, width, height), xmp=turned_xmp(old.xmp, turn))
    picture.source = data


def encode(picture: Picture, patches: Sequence[Patch]) -> bytes:
    """The picture's own file with the blocks that the patches touch taken from its samples.

    Raises OptionError when the file's blocks cannot be kept, StageFailed when the result is not what it must be.
    """
    if picture.source is None:
        raise StageFailed("the file that the blocks are to be kept of is not there")
    whole = markers.read(picture.source)
    store = scans.coefficients(whole)
    grids = blocks.touched(whole, picture, patches)
    blocks.replace(whole, store, picture, patches, grids)
    blocks.empty_padding(whole, store)
    body = write.write(whole, store)
    del store
    head = [body[:2]]
    if whole.jfif:
        head.append(write.segment(frame.APP0, JFIF))
    if whole.adobe is not None:
        head.append(write.segment(frame.APP14, ADOBE + bytes((whole.adobe,))))
    coded = jpeg.with_segments(b"".join((*head, body[2:])), picture.metadata)
    verify.check(coded, whole, picture, patches, grids)
    return coded
