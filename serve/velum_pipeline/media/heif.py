"""HEIF, the container of HEIC and AVIF: one still picture and what belongs to it, found before any decoder runs.

A file must hold exactly one picture. Its thumbnails, gain maps, depth maps and other auxiliary images are derived from
the original and are left out: the output is written afresh from the samples. Sequences, several pictures and derived
images other than a grid of tiles are refused, since writing one picture would lose the others.

EXIF's orientation does not count here: the container's own rotation and mirroring do (ISO/IEC 23000-22, 7.3.6.7).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from velum_pipeline.errors import CorruptMedia, TruncatedMedia, UnsupportedMedia
from velum_pipeline.media import av1, isobmff
from velum_pipeline.media import exif as exifs
from velum_pipeline.media.dimensions import Dimensions
from velum_pipeline.media.isobmff import IN_FILE, BoxError, Item, Items
from velum_pipeline.media.picture import Layout, Metadata

PICTURES = (b"hvc1", b"av01", b"grid", b"iovl", b"iden", b"unci", b"jpeg", b"avc1", b"vvc1", b"j2k1", b"mski")
"""Item types that are images."""
SEQUENCES = (b"hevc", b"hevx", b"hevm", b"hevs", b"msf1", b"avis")
ORIENTATIONS = {
    (0, None): 1, (0, 0): 4, (0, 1): 2, (1, None): 8, (1, 0): 5, (1, 1): 7,
    (2, None): 3, (2, 0): 2, (2, 1): 4, (3, None): 6, (3, 0): 7, (3, 1): 5,
}  # fmt: skip
"""EXIF's word for quarter turns to the left (irot) followed by a mirroring (imir: 0 upside down, 1 left to right)."""
XMP_TYPE = b"application/rdf+xml"
SUBSAMPLINGS = {1: "420", 2: "422", 3: "444"}
"""By chroma_format_idc (H.265, 6.2)."""


@dataclass(frozen=True)
class Still:
    """The one picture of a file, as its container describes it.

    orientation: EXIF's word for how the container turns it. bits: per sample. subsampling: of the chroma; "400" for
    grey. tile: the side of a grid's tiles, 0 without a grid. cropped: whether it shows a part of what is coded. nclx:
    the seven bytes after that word, how samples mean colours.
    """

    dimensions: Dimensions
    orientation: int
    bits: int
    subsampling: str
    tile: int
    cropped: bool
    nclx: bytes | None
    icc: bytes | None
    exif: bytes | None
    xmp: bytes | None


def dimensions(head: bytes) -> Dimensions | None:
    """Width and height as shown, before rotation; None when they are not within these bytes."""
    try:
        meta = isobmff.meta_box(head)
        found = isobmff.items(head, meta) if meta else None
        return _size(found.items[found.primary]) if found and found.primary in found.items else None
    except (BoxError, CorruptMedia):
        return None


def truncation(head: bytes, tail: bytes, size: int) -> str | None:  # noqa: ARG001 -- one shape for all codecs
    """Why the file cannot be whole, or None: every box and every item must lie within it."""
    try:
        reach = max((box.end for box in isobmff.boxes(head)), default=0)
        meta = isobmff.meta_box(head)
        if meta:
            found = isobmff.items(head, meta)
            ends = [sum(part) for item in found.items.values() if item.method == IN_FILE for part in item.extents]
            reach = max(reach, *ends, 0)
    except BoxError:
        return None  # broken, not short: the decoder's matter
    return f"the file's boxes reach to byte {reach}, it has {size}" if reach > size else None


def read(data: bytes, coded: bytes) -> Still:
    """The one picture whose samples are coded as ``coded`` (hvc1, av01).

    Raises CorruptMedia, TruncatedMedia, UnsupportedMedia.
    """
    try:
        kinds = {box.kind for box in isobmff.boxes(data)}
        if data[8:12] in SEQUENCES or b"moov" in kinds:
            raise UnsupportedMedia("an image sequence is not supported; send its frames as pictures or as a video")
        meta = isobmff.meta_box(data)
        if meta is None:
            raise TruncatedMedia("the file has no whole meta box")
        found = isobmff.items(data, meta)
        _check_one(found)
        if coded == b"av01":  # libheif compares HEVC's own header by itself
            _check_av1(data, found)
        return _still(data, found, coded)
    except BoxError as error:
        raise CorruptMedia(f"the file's boxes are broken: {error}") from None


def metadata(still: Still, layout: Layout, width: int, height: int) -> Metadata:
    """What goes into the output beside the samples, cleaned; width and height as displayed."""
    return Metadata(
        exif=exifs.cleaned(still.exif, width, height),
        icc=exifs.clean_icc(still.icc, layout),
        xmp=exifs.clean_xmp(still.xmp),
        thumbnail=exifs.has_thumbnail(still.exif),
        extra=still.nclx,
    )


def _check_one(found: Items) -> None:
    if found.primary not in found.items:
        raise CorruptMedia("the file names no primary picture")
    if any(kind == b"prem" for kind, _, _ in found.references):
        raise UnsupportedMedia("colours multiplied with their opacity are not supported; save with plain alpha")
    belonging = {source for kind, source, _ in found.references if kind in (b"thmb", b"auxl")}
    belonging |= {item for kind, _, to in found.references if kind == b"dimg" for item in to}
    others = {
        number
        for number, item in found.items.items()
        if item.kind in PICTURES and not item.hidden and number not in belonging
    } - {found.primary}
    if others:
        raise UnsupportedMedia(f"a file of {len(others) + 1} pictures is not supported; send each as its own file")


def _check_av1(data: bytes, found: Items) -> None:
    for item in found.items.values():
        if item.kind == b"av01":
            stored, coded = _stored(item), av1.largest(found.bytes_of(item, data))
            if coded.width > stored.width or coded.height > stored.height:
                raise CorruptMedia(
                    f"the file announces {stored.width} x {stored.height}, its data {coded.width} x {coded.height}"
                )


def _still(data: bytes, found: Items, coded: bytes) -> Still:
    primary = found.items[found.primary]
    tiles = [found.items.get(number, Item()) for number in found.referred(b"dimg", found.primary)]
    parts = tiles if primary.kind == b"grid" else [primary]
    if not parts or any(part.kind != coded for part in parts):
        kinds = sorted({str(part.kind, "latin1") for part in (primary, *parts)})
        raise UnsupportedMedia(f"a picture of items of type {', '.join(kinds)} is not supported")
    bits, subsampling = _coding(parts[0], coded)
    shown = _size(primary)
    colours = [body for part in (primary, parts[0]) for name, body in part.properties if name == b"colr"]
    about = [
        found.items.get(at, Item()) for kind, at, to in found.references if kind == b"cdsc" and found.primary in to
    ]
    blocks = [found.bytes_of(item, data) for item in about if item.kind == b"Exif"]
    texts = [found.bytes_of(item, data) for item in about if item.content_type == XMP_TYPE]
    return Still(
        dimensions=shown,
        orientation=_orientation(primary),
        bits=bits,
        subsampling=subsampling,
        tile=_stored(parts[0]).width if primary.kind == b"grid" else 0,
        cropped=shown != _stored(primary),
        nclx=next((body[4:11] for body in colours if body[:4] == b"nclx" and len(body) >= 11), None),
        icc=next((body[4:] for body in colours if body[:4] in (b"prof", b"rICC")), None),
        exif=_tiff(blocks[0]) if blocks else None,
        xmp=texts[0].rstrip(b"\0") if texts else None,
    )


def _tiff(block: bytes) -> bytes | None:
    """An Exif item's TIFF structure: the first four bytes say how far behind them it starts."""
    start = 4 + int.from_bytes(block[:4], "big")
    return block[start:].removeprefix(b"Exif\0\0") or None


def _coding(item: Item, coded: bytes) -> tuple[int, str]:
    """Bits per sample and chroma subsampling, from the decoder's configuration (hvcC, av1C)."""
    if coded == b"hvc1":
        body = item.property(b"hvcC") or b""
        if len(body) < 18:
            raise CorruptMedia("the file does not say how its picture is coded")
        return 8 + (body[17] & 7), SUBSAMPLINGS.get(body[16] & 3, "400")
    body = item.property(b"av1C") or b""
    if len(body) < 4:
        raise CorruptMedia("the file does not say how its picture is coded")
    deep, twelve, grey, half_x, half_y = (body[2] >> shift & 1 for shift in (6, 5, 4, 3, 2))
    subsampling = "400" if grey else "420" if half_x and half_y else "422" if half_x else "444"
    return (12 if twelve else 10) if deep else 8, subsampling


def _orientation(item: Item) -> int:
    turns, axis = item.property(b"irot"), item.property(b"imir")
    return ORIENTATIONS[turns[0] & 3 if turns else 0, axis[0] & 1 if axis else None]


def _stored(item: Item) -> Dimensions:
    extents = item.property(b"ispe")
    if extents is None or len(extents) < 12:
        raise CorruptMedia("the file announces no size")
    return Dimensions(*struct.unpack(">II", extents[4:12]))


def _size(item: Item) -> Dimensions:
    """The size after cropping (clap: four fractions; ISO/IEC 14496-12, 12.1.4)."""
    stored, crop = _stored(item), item.property(b"clap")
    if crop is None or len(crop) < 16:
        return stored
    wide, of_wide, high, of_high = struct.unpack(">4I", crop[:16])
    if not of_wide or not of_high:
        raise CorruptMedia("the file's crop is no rectangle")
    return Dimensions(min(stored.width, round(wide / of_wide)), min(stored.height, round(high / of_high)))
