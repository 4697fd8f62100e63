"""Where a picture was taken: exactly what it was with ``keep``, in no corner of the file with ``strip``."""

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from velum_pipeline import media
from velum_pipeline.media import ifd as ifds
from velum_pipeline.media import location
from velum_pipeline.media.ifd import Entry
from velum_pipeline.options import Limits

Array = np.ndarray[Any, Any]
LATITUDE = struct.pack("<6I", 52, 1, 31, 1, 1234567, 54321)
XMP = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description dc:rights="Ada" exif:GPSLatitude="52,31.2N"
 drone-dji:RelativeAltitude='+12.5' GPano:ProjectionType="equirectangular"/>
<rdf:Description><exif:GPSLongitude>13,24.5E</exif:GPSLongitude><photoshop:City>Berlin</photoshop:City>
<Iptc4xmpExt:LocationCreated><rdf:Bag><rdf:li><Iptc4xmpExt:LocationCreated/>Berlin</rdf:li></rdf:Bag>
</Iptc4xmpExt:LocationCreated><geo:lat/></rdf:Description></rdf:RDF></x:xmpmeta>"""


def block() -> bytes:
    """An EXIF block with a camera and a position."""
    camera = ifds.Ifd({0x010F: Entry(2, 6, b"Velum\0"), 0x0112: Entry(3, 1, b"\6\0")})
    camera.children[ifds.GPS_POINTER] = ifds.Ifd({1: Entry(2, 2, b"N\0"), 2: Entry(5, 3, LATITUDE)})
    return ifds.serialise(ifds.Tree("<", [camera]))


def located(texture: Callable[..., Array], save: Callable[..., bytes], form: str) -> bytes:
    settings: dict[str, Any] = {"exif": b"Exif\0\0" + block()}
    if form == "TIFF":
        exif = Image.Exif()
        exif.load(b"Exif\0\0" + block())
        exif[700], exif[33922] = XMP, (0.0, 0.0, 0.0, 13.4, 52.5, 0.0)
        settings = {"exif": exif}
    elif form == "PNG":
        info = PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        info.add_text("Author", "Ada")
        info.add_text("exif:GPSLatitude", "52/1, 31/1, 1234567/54321")
        settings["pnginfo"] = info
    else:
        settings["xmp"] = XMP
    return save(texture(20, 30), form, **settings)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_position_is_kept_exactly(texture: Callable[..., Array], save: Callable[..., bytes], form: str) -> None:
    coded = media.encode(media.decode(located(texture, save, form), Limits()))
    assert LATITUDE in coded
    assert XMP in coded
    kept = Image.open(io.BytesIO(coded)).getexif().get_ifd(0x8825)
    assert kept[1] == "N"
    assert [(value.numerator, value.denominator) for value in kept[2]] == [(52, 1), (31, 1), (1234567, 54321)]
    if form == "TIFF":
        assert struct.pack("<2d", 13.4, 52.5) in coded


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_no_corner_says_where(texture: Callable[..., Array], save: Callable[..., bytes], form: str) -> None:
    data = located(texture, save, form)
    picture = media.decode(data, Limits())
    media.drop_location(picture)
    coded = media.encode(picture)
    for trace in (LATITUDE, b"GPS", b"52,31.2N", b"13,24.5E", b"Berlin", b"+12.5", b"1234567"):
        assert trace in data or trace == b"1234567"  # only the PNG says it as a text
        assert trace not in coded
    assert struct.pack("<d", 52.5) not in coded
    shown = Image.open(io.BytesIO(coded))
    assert shown.getexif()[0x010F] == "Velum"
    assert 0x8825 not in shown.getexif()
    assert b'dc:rights="Ada"' in coded
    assert b'GPano:ProjectionType="equirectangular"' in coded
    if form == "PNG":
        assert shown.info["Author"] == "Ada"


def test_a_picture_that_never_said_where_stays_as_it_is(
    texture: Callable[..., Array], save: Callable[..., bytes], exif: Callable[..., bytes]
) -> None:
    for form in ("JPEG", "PNG", "WEBP", "TIFF", "BMP"):
        picture = media.decode(save(texture(20, 30), form), Limits())
        before = picture.metadata
        media.drop_location(picture)
        assert picture.metadata == before


@pytest.mark.parametrize(
    "packet",
    [
        b"<x><exif:GPSLatitude>52</x>",
        b"<x a='1' exif:GPSLatitude=52/>",
        b"no xml",
    ],
)
def test_a_packet_that_does_not_parse_goes_whole(packet: bytes) -> None:
    assert location._xmp(packet) is None


@pytest.mark.parametrize(
    ("packet", "left"),
    [
        (b"<x><a:City/></x>", b"<x></x>"),
        (b"<x><a:City/><a:City>b</a:City >c</x>", b"<x>c</x>"),
        (b"<x><a:City><a:City/></a:City>c</x>", b"<x>c</x>"),
        (b"<x a:b='>' q:Altitude = \"1'\" c='d'/>", b"<x a:b='>' c='d'/>"),
        (b"<x a:b=' q:City=&quot;'>a long state of gps</x>", b"<x a:b=' q:City=&quot;'>a long state of gps</x>"),
        (
            b"<?xpacket begin='\xef\xbb\xbf'?><x><q:location>y</q:location></x>  ",
            b"<?xpacket begin='\xef\xbb\xbf'?><x></x>  ",
        ),
        (
            b"<x g:alt='9' g:lat='5'><dc:title><rdf:Alt><rdf:li>Home</rdf:li></rdf:Alt></dc:title></x>",
            b"<x><dc:title><rdf:Alt><rdf:li>Home</rdf:li></rdf:Alt></dc:title></x>",
        ),
        ("<x>Zoë<q:Å>ü</q:Å><q:GPSx/></x>".encode(), "<x>Zoë<q:Å>ü</q:Å></x>".encode()),
    ],
)
def test_places_are_cut_out_and_nothing_else(packet: bytes, left: bytes) -> None:
    assert location._xmp(packet) == left


@pytest.mark.parametrize(
    "name",
    [
        "dc:coverage", "geo:lat_long", "p:lng", "p:LatLon", "georss:point", "kml:coordinates", "dwc:locality",
        "dwc:verbatimCoordinates", "vcard:adr", "p:PostalCode", "p:geohash", "drone-dji:UTMZone",
        "Iptc4xmpExt:Sublocation", "Iptc4xmpExt:WorldRegion", "xmpDM:shotLocation", "photoshop:State", "p:placeName",
        "p:town", "p:position",
    ],
)  # fmt: skip
def test_every_vocabulary_of_places_is_known(name: str) -> None:
    assert location._xmp(f"<x><{name}>52</{name}>y</x>".encode()) == b"<x>y</x>"
    assert location._xmp(f"<x {name}='52'>y</x>".encode()) == b"<x>y</x>"


@pytest.mark.parametrize(
    "packet",
    [
        b"<x xmlns:geo='w3' xmlns:georss='g' xmlns:kml='k' xmlns:place='p'>y</x>",
        b"<x a:velocity='1' a:capacity='2' photoshop:AuthorsPosition='chief' xmpMM:placedXResolution='72'/>",
        b"<x><dc:subject>Places to go</dc:subject><q:Estate/><q:template/></x>",
    ],
)
def test_what_only_sounds_like_a_place_stays(packet: bytes) -> None:
    assert location._xmp(packet) == packet


@pytest.mark.parametrize(
    "value", ["Places|Germany|Berlin", "Places&#x7C;Berlin", "Places/Germany/Berlin", "geo:52.5,13.4"]
)
def test_a_packet_with_places_among_its_keywords_goes_whole(value: str) -> None:
    assert location._xmp(f"<x><rdf:li>{value}</rdf:li><rdf:li>Berlin</rdf:li></x>".encode()) is None
    assert location._xmp(f"<x a:b='{value}'/>".encode()) is None


def test_a_position_in_the_wrong_directory_goes_too() -> None:
    position = {1: Entry(2, 2, b"N\0"), 2: Entry(5, 3, LATITUDE), 0x847E: Entry(2, 6, b"Berlin")}
    camera = ifds.Ifd({0x010F: Entry(2, 6, b"Velum\0"), **position})
    camera.children[ifds.EXIF_POINTER] = ifds.Ifd({0x9003: Entry(2, 5, b"2024\0"), **position})
    left = location._exif(ifds.serialise(ifds.Tree("<", [camera])))
    assert left is not None
    assert LATITUDE not in left
    assert b"Berlin" not in left
    assert b"Velum" in left
    assert b"2024" in left


@pytest.mark.parametrize(
    "text",
    [
        "lat=52.52 lon=13.4",
        "GPS: N52.5",
        "Latitude\t-33.8",
        '{"lng": 13.4}',
        "52°31'12\"N 13°24'E",
        "lat, lon: 52.5, 13.4",
    ],
)
def test_a_position_in_a_text_goes_with_it(
    texture: Callable[..., Array], save: Callable[..., bytes], text: str
) -> None:
    comment = b"UNICODE\0" + text.encode("utf-16-le")
    camera = ifds.Ifd({0x010F: Entry(2, 6, b"Velum\0"), 0x010E: Entry(2, len(text.encode()), text.encode())})
    camera.children[ifds.EXIF_POINTER] = ifds.Ifd({0x9286: Entry(7, len(comment), comment)})
    left = location._exif(ifds.serialise(ifds.Tree("<", [camera])))
    assert left is not None
    assert ifds.parse(left).pages[0].entries.keys() == {0x010F}
    assert ifds.parse(left).pages[0].children[ifds.EXIF_POINTER].entries == {}
    assert location._xmp(f"<x><dc:description>{text}</dc:description></x>".encode()) is None
    info = PngInfo()
    info.add_text("Comment", text)
    info.add_text("Title", "A flat at 5 to 7, 20 °C, by the long lat")
    picture = media.decode(save(texture(20, 30), "PNG", pnginfo=info), Limits())
    media.drop_location(picture)
    assert list(Image.open(io.BytesIO(media.encode(picture))).info) == ["Title"]
