"""EXIF, XMP and ICC with everything taken out that can hold original pixels or an identity.

What is kept must be shown harmless; what cannot be looked into is dropped:

* IFD1, the thumbnail, goes; the codec makes a new one from the anonymized picture where there was one.
* MakerNote goes: an undocumented blob in which many makers put previews, and some the names of recognised faces.
* Sub-directories, Photoshop resources, IPTC and layer data go, and any value that could hold a picture (fields.py).
* An XMP packet goes when anything in it looks like a base64 picture (thumbnails, Google depth and source images),
  however its lines are broken, or like the names of persons.
* Orientation becomes 1 and the size tags become true, because the pixels are upright (see orientation.py).
"""

from __future__ import annotations

import re

from velum_pipeline.media import fields
from velum_pipeline.media import ifd as ifds
from velum_pipeline.media.ifd import EXIF_POINTER, LONG, Ifd, IfdError, Tree
from velum_pipeline.media.picture import Layout

ORIENTATION = 0x0112
MAX_ICC = 4 * 2**20
"""CMYK press profiles reach 3 MiB; beyond that something else is being carried."""
MAX_SEGMENT = 65_500
"""A JPEG segment holds 65533 bytes, its ``Exif\\0\\0`` prefix included; EXIF that was longer cannot be written back."""
STRUCTURAL = frozenset({
    0x00FE, 0x00FF, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x010A, 0x0111, 0x0115, 0x0116, 0x0117,
    0x011C, 0x0120, 0x0121, 0x0122, 0x0123, 0x0124, 0x0125, 0x013D, 0x0140, 0x0142, 0x0143, 0x0144,
    0x0145, 0x0152, 0x0153, 0x015B, 0x0200, 0x0201, 0x0202, 0x0207, 0x0208, 0x0209, 0x0211, 0x0212,
    0x0213, 0x0214,
})  # fmt: skip
"""Tags that say how samples are stored. They belong to whoever writes the samples."""
XMP_CARRIES_PIXELS = re.compile(
    rb"GImg|Thumbnail|GImage|GDepth|GContainer|HasExtendedXMP|ns\.adobe\.com/xap/1\.0/g/img|ns\.google\.com/photos"
    rb"|MotionPhoto|MicroVideo"  # they announce a video behind the picture, which will not be there
    rb"|/9j/|iVBORw0|UklGR"  # JPEG, PNG and RIFF (WebP) in base64
    rb"|<!"  # comments, CDATA and entities can take a text apart, and no common writer of XMP uses them
)
"""Looked for in a packet without its white space. Namespaces stand beside prefixes, because a prefix is anybody's
choice."""
XMP_NAMES_FACES = re.compile(
    rb"mwg-rs|metadataworkinggroup\.com/schemas/regions|MPReg|MP:RegionInfo|ns\.microsoft\.com/photo/1\.2"
    rb"|ns\.apple\.com/faceinfo|PersonInImage|ImageRegion|People[/|]|mediapro:People|expressionmedia:People"
    rb"|ns\.acdsee\.com/regions|acdsee-rs|acdsee:categories"  # the last: a tree in one text
)
"""Face regions of photo libraries, and the branch of their keyword trees where persons stand (digiKam, Lightroom)."""


def orientation_of(exif: bytes | None) -> int:
    """The Orientation tag of an EXIF block; 1 when there is none or the block is broken."""
    tree = tree_of(exif)
    return (tree.number(tree.pages[0], ORIENTATION) or 1) if tree else 1


def has_thumbnail(exif: bytes | None) -> bool:
    """Whether an EXIF block has a second directory."""
    tree = tree_of(exif)
    return tree is not None and len(tree.pages) > 1


def cleaned(exif: bytes | None, width: int, height: int) -> bytes | None:
    """The block without a thumbnail and without anything opaque, for an upright width x height picture.

    None if it is broken.
    """
    tree = tree_of(exif)
    if tree is None:
        return None
    first = tree.pages[0]
    clean(tree, first)
    for tag in STRUCTURAL & first.entries.keys():
        del first.entries[tag]
    if ORIENTATION in first.entries:
        tree.put(first, ORIENTATION, 1)
    details = first.children.get(EXIF_POINTER)
    if details and 0xA002 in details.entries:
        tree.put(details, 0xA002, width, kind=LONG)
        tree.put(details, 0xA003, height, kind=LONG)
    if not first.entries and not first.children:
        return None
    return ifds.serialise(tree)


def clean(tree: Tree, ifd: Ifd) -> None:
    """Take out of a directory and its children, in place, every value that cannot be shown harmless."""
    for tag, entry in list(ifd.entries.items()):
        if not fields.may_stay(tag, entry):
            del ifd.entries[tag]
    for child in ifd.children.values():
        clean(tree, child)


def with_thumbnail(exif: bytes | None, jpeg: bytes) -> bytes | None:
    """The block with a new thumbnail (JPEG bytes), or without one where it would not fit a JPEG segment."""
    tree = tree_of(exif)
    if tree is None:
        return None
    whole = ifds.serialise(tree, jpeg)
    return whole if len(whole) <= MAX_SEGMENT else exif


def without_orientation(exif: bytes | None) -> bytes | None:
    """The block without its Orientation (and a thumbnail), for containers that say it themselves; None when empty."""
    tree = tree_of(exif)
    if tree is None:
        return None
    first = tree.pages[0]
    first.entries.pop(ORIENTATION, None)
    return ifds.serialise(tree) if first.entries or first.children else None


def clean_xmp(packet: bytes | None) -> bytes | None:
    """The packet with its orientation set to 1.

    None when it could carry pixels or names faces, or is not plain UTF-8: a packet is never taken apart, in doubt all
    of it goes.
    """
    if not packet or b"\0" in packet or not _is_utf8(packet):
        return None
    bare = fields.dense(packet)
    if XMP_CARRIES_PIXELS.search(bare) or fields.ENCODED.search(bare) or XMP_NAMES_FACES.search(bare):
        return None
    packet = re.sub(rb"(tiff:Orientation\s*=\s*[\"'])\d+", rb"\g<1>1", packet)
    return re.sub(rb"(<tiff:Orientation>)\d+", rb"\g<1>1", packet)


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def clean_icc(profile: bytes | None, layout: Layout) -> bytes | None:
    """The profile if it looks like one for this layout and is not huge.

    ICC.1:2022, 7.2: signature at 36, colour space at 16, size at 0; what follows the size is cut off.
    """
    if not profile or not 128 <= len(profile) <= MAX_ICC or profile[36:40] != b"acsp":
        return None
    if profile[16:20] != {Layout.GREY: b"GRAY", Layout.CMYK: b"CMYK"}.get(layout, b"RGB "):
        return None
    return profile[: int.from_bytes(profile[:4], "big")]


def tree_of(exif: bytes | None) -> Tree | None:
    """The directories of an EXIF block; None when there is none or the block is broken."""
    if not exif:
        return None
    try:
        return ifds.parse(exif)
    except IfdError:
        return None
