"""Where a picture was taken, taken out of it on request (``gps=strip``).

Everything else of the metadata stays: a panorama without its XMP no longer turns in a viewer. So properties that name a
place are cut out of an XMP packet by themselves; only a packet that does not parse goes whole.
"""

from __future__ import annotations

import re
from dataclasses import replace
from xml.parsers import expat

from velum_pipeline.media import exif as exifs
from velum_pipeline.media import fields, png
from velum_pipeline.media import ifd as ifds
from velum_pipeline.media.ifd import ASCII, EXIF_POINTER, GPS_POINTER, Entry
from velum_pipeline.media.kinds import PNG
from velum_pipeline.media.picture import Picture

GEOREFERENCE = frozenset({
    0x847E, 0x847F, 0x8480,  # Intergraph's packet, registers and matrix
    0x830E, 0x8482, 0x85D8,  # GeoTIFF 1.1: pixel scale, tie points, transformation
    0x85D7,  # JPL's cartographic data
    0x87AF, 0x87B0, 0x87B1,  # GeoTIFF: keys, their numbers, their texts
    0xA480,  # GDAL's XML
    0xC69C, 0xC6DC, 0xC6DD,  # a satellite's rational polynomial coefficients, its file, DGIWG's XML
})  # fmt: skip
"""Tags of maps and aerial pictures that tie pixels to the Earth."""
GPS_TAGS = range(0x20)
"""The GPS directory's own tags: some writers put them beside the camera's, where no other field has such a number."""
PLACE = re.compile(
    r"(?!(?:xmlns|rdf):)(?:(?:georss|gml|kml|vcard):.*"  # vocabularies of places and addresses
    r"|(?:[^:]*:)?(?:.*(?:gps|latitude|longt?itude|altitude|geotag|geohash|coordinate|lat_?lon|lat_?lng|location"
    r"|locality|country|county|province|municipality|address|street|postal|postcode|what3words|utm).*"
    r"|lat|lng|lon|long|alt|mgrs|zip|zipcode|place|placename|venue|poi|position|coverage|footprint.*|continent|island"
    r"|waterbody|worldregion|region|state|(?:home|birth)?(?:city|place|town)|village|suburb|neighbou?rhood|district))",
    re.IGNORECASE,
)
"""Names of properties that say where: XMP's EXIF schema, IPTC Photo Metadata, Dublin Core, W3C's geo, GeoRSS, vCard,
Darwin Core, and what drones and telephones write. rdf:Alt is no altitude, but how a title holds its languages."""
PLACE_VALUE = re.compile(rb"[>\"'](?:places?|locations?)[|/]|geo:-?\d", re.IGNORECASE)
"""The branch of a keyword tree where places stand (digiKam, Lightroom), whose leaves are in the flat list of keywords
too; and a URI of RFC 5870."""
WRITTEN = re.compile(
    rb"(?:gps|latitude|longitude|\b(?:lat|lon|lng)\b)[^\d\n]{0,12}\d"
    rb"|\d ?(?:\xc2)?\xb0 ?\d+ ?(?:'|\xe2\x80\xb2|\xe2\x80\x99)",
    re.IGNORECASE,
)
"""A position within a text, as telephones' cameras and apps write it into comments: lat=52.5, GPS: 52.5, 52°31'."""
TEXTS = fields.WINDOWS_TEXTS | {fields.USER_COMMENT}
ATTRIBUTE = re.compile(rb"\s+([^\s=<>/\"']+)\s*=\s*(?:\"[^\"]*\"|'[^']*')")
TAG = re.compile(rb"<[^\s<>/]+(?:\s+[^\s=<>/\"']+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*\s*(/?)>")


def drop_location(picture: Picture) -> None:
    """Take GPS positions, georeferences and the names of places out of a decoded picture's metadata, in place.

    Titles and descriptions are their author's own words and stay, unless a position in numbers is among them.
    """
    old = picture.metadata
    extra = png.without_free_texts(old.extra, _says_where) if picture.media_type == PNG else old.extra
    picture.metadata = replace(old, exif=_exif(old.exif), xmp=_xmp(old.xmp), extra=extra)


def _exif(block: bytes | None) -> bytes | None:
    """The block without its GPS directory and without georeferences; None when nothing is left."""
    tree = exifs.tree_of(block)
    if tree is None:
        return None
    first = tree.pages[0]
    first.children.pop(GPS_POINTER, None)
    for directory in (first, first.children.get(EXIF_POINTER, ifds.Ifd())):
        for tag, entry in list(directory.entries.items()):
            if tag in GEOREFERENCE or tag in GPS_TAGS or (_is_text(tag, entry) and _says_where(entry.raw)):
                del directory.entries[tag]
    return ifds.serialise(tree) if first.entries or first.children else None


def _is_text(tag: int, entry: Entry) -> bool:
    return entry.kind == ASCII or tag in TEXTS


def _says_where(text: bytes) -> bool:
    """Whether a text of one or two bytes a letter has a position in it."""
    return WRITTEN.search(text.replace(b"\0", b"")) is not None


def _xmp(packet: bytes | None) -> bytes | None:
    """The packet without properties of places; None when it is not XML, or still says where.

    A packet with places among its keywords goes whole.
    """
    if packet is None or PLACE_VALUE.search(fields.dense(packet)):
        return None
    try:
        cuts = _Places(packet).cuts
        left = b"".join(
            packet[end:start] for (_, end), (start, _) in zip([(0, 0), *cuts], [*cuts, (None, 0)], strict=True)
        )
        return None if _Places(left).cuts or _says_where(left) else left
    except expat.ExpatError:
        return None


class _Places:
    """Finds, in one pass over a packet, the spans of elements and attributes that name a place."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        self.cuts: list[tuple[int, int]] = []
        self._inside: tuple[int, int] | None = None
        """Where the element that is being cut starts, and how many of its kin are open."""
        self._parser = expat.ParserCreate("UTF-8")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.Parse(packet, True)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        at = self._parser.CurrentByteIndex
        if self._inside:
            self._inside = (self._inside[0], self._inside[1] + 1)
        elif PLACE.fullmatch(name):
            self._inside = (at, 1)
        elif any(map(PLACE.fullmatch, attributes)):
            tag = TAG.match(self.packet, at)
            if tag is None:
                raise expat.ExpatError("a tag that cannot be taken apart")
            self.cuts += [
                found.span()
                for found in ATTRIBUTE.finditer(self.packet, at, tag.end())
                if PLACE.fullmatch(found[1].decode())
            ]

    def _end(self, _: str) -> None:
        if not self._inside:
            return
        start, open_elements = self._inside
        self._inside = (start, open_elements - 1) if open_elements > 1 else None
        if self._inside is None:
            tag = TAG.match(self.packet, start)
            empty = tag is not None and bool(tag[1])
            end = tag.end() if tag and empty else self.packet.index(b">", self._parser.CurrentByteIndex) + 1
            self.cuts.append((start, end))
