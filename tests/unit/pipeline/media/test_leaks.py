"""No byte of the original picture leaves by a side door: thumbnails, previews, trailers, texts, maker notes."""

import io
import re
import struct
import zlib
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from velum_pipeline import media
from velum_pipeline.media import exif as exifs
from velum_pipeline.media import ifd as ifds
from velum_pipeline.media.ifd import Entry
from velum_pipeline.media.kinds import PNG
from velum_pipeline.media.picture import Layout, Picture
from velum_pipeline.options import Limits

Array = np.ndarray[Any, Any]
LIMITS = Limits()


@pytest.fixture
def secret(texture: Callable[..., Array], save: Callable[..., bytes]) -> bytes:
    """A small JPEG of the original, as cameras embed it."""
    return save(texture(60, 80, seed=7), "JPEG")


def anonymized(data: bytes) -> bytes:
    """A file as the pipeline writes it after everything in it was blackened."""
    picture = media.decode(data, LIMITS)
    picture.native[...] = 0
    if picture.layout.has_alpha:
        picture.native[..., 3] = np.iinfo(picture.native.dtype).max
    return media.encode(picture)


def embedded(data: bytes) -> list[Array]:
    """Every JPEG that starts within the file after its own start, decoded."""
    starts = [match.start() for match in re.finditer(rb"\xff\xd8\xff", data)][1 if data[:2] == b"\xff\xd8" else 0 :]
    found = (cv2.imdecode(np.frombuffer(data[start:], np.uint8), cv2.IMREAD_COLOR) for start in starts)
    return [picture for picture in found if picture is not None]


def holds_none_of(data: bytes, secret: bytes) -> bool:
    """Whether no stretch of 24 bytes of the secret's own coded samples is in the data."""
    scan = secret[secret.index(b"\xff\xda") :]
    return not any(scan[at : at + 24] in data for at in range(0, len(scan) - 24, 8))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_thumbnail_shows_the_anonymized_picture(
    texture: Callable[..., Array], save: Callable[..., bytes], exif: Callable[..., bytes], secret: bytes, form: str
) -> None:
    block = b"Exif\0\0" + exif(6, thumbnail=secret)
    data = save(texture(90, 120), form, exif=block)
    assert not holds_none_of(data, secret)
    coded = anonymized(data)
    assert holds_none_of(coded, secret)
    thumbnails = embedded(coded)
    assert len(thumbnails) == 1
    assert thumbnails[0].max() <= 2
    assert thumbnails[0].shape == (120, 90, 3)
    assert holds_none_of(anonymized(coded), secret)


def test_the_thumbnail_is_small_and_alike(
    texture: Callable[..., Array], save: Callable[..., bytes], exif: Callable[..., bytes], secret: bytes
) -> None:
    samples = cv2.resize(texture(3, 4), (800, 600), interpolation=cv2.INTER_CUBIC)
    coded = media.encode(media.decode(save(samples, "JPEG", exif=b"Exif\0\0" + exif(1, thumbnail=secret)), LIMITS))
    (thumbnail,) = embedded(coded)
    assert thumbnail.shape == (120, 160, 3)
    small = cv2.resize(samples, (160, 120), interpolation=cv2.INTER_AREA)[..., ::-1]
    assert np.abs(thumbnail.astype(int) - small).mean() < 6


@pytest.mark.parametrize("layout", ["grey", "deep", "alpha", "ink"])
def test_thumbnails_of_every_layout(
    texture: Callable[..., Array],
    save: Callable[..., bytes],
    save_deep: Callable[..., bytes],
    exif: Callable[..., bytes],
    secret: bytes,
    layout: str,
) -> None:
    block = b"Exif\0\0" + exif(1, thumbnail=secret)
    if layout == "deep":
        plain = save_deep(texture(40, 40, 3, np.uint16), "png")
        chunk = b"eXIf" + block[6:]
        data = (
            plain[:33] + struct.pack(">I", len(block) - 6) + chunk + struct.pack(">I", zlib.crc32(chunk)) + plain[33:]
        )
    elif layout == "ink":
        data = save(texture(40, 40), "JPEG", "CMYK", exif=block)
    else:
        channels = {"grey": 1, "alpha": 4}[layout]
        data = save(texture(40, 40, channels), "PNG", exif=block)
    coded = anonymized(data)
    assert holds_none_of(coded, secret)
    assert [picture.max() <= 2 for picture in embedded(coded)] == [True]


def test_no_thumbnail_where_there_was_none(
    texture: Callable[..., Array], save: Callable[..., bytes], exif: Callable[..., bytes]
) -> None:
    assert embedded(anonymized(save(texture(40, 40), "JPEG", exif=b"Exif\0\0" + exif()))) == []


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_detectors_see_what_opacity_hides(texture: Callable[..., Array], dtype: Any) -> None:
    """What was rubbed out stays in the file's colours, and a reader that ignores opacity shows it."""
    samples = texture(60, 80, 4, dtype)
    samples[..., 3] = np.iinfo(dtype).max
    samples[:, :40, 3] = 0
    pixels = Picture(PNG, samples, Layout.BGRA).pixels
    plain = media.to_bgr8(samples, Layout.BGRA)
    assert np.array_equal(pixels[:, 40:], plain[:, 40:])
    assert np.abs(pixels[:, :40].astype(int) - (plain[:, :40] / 2 + 64)).max() <= 1
    samples[:, :40, :3] = samples[0, 0, :3]  # one filling is no picture: only what is drawn by opacity counts
    assert (Picture(PNG, samples, Layout.BGRA).pixels[:, :40] == 128).all()


@pytest.mark.parametrize("form", ["PNG", "WEBP"])
def test_a_thumbnail_shows_no_more_than_its_picture(
    texture: Callable[..., Array], save: Callable[..., bytes], exif: Callable[..., bytes], secret: bytes, form: str
) -> None:
    """A JPEG has no opacity: what it does not show in the picture must be grey there."""
    samples = texture(90, 120, 4)
    samples[..., 3] = 255
    samples[:, :60, 3] = 0
    block = b"Exif\0\0" + exif(1, thumbnail=secret)
    coded = media.encode(media.decode(save(samples, form, exif=block, lossless=True, exact=True), LIMITS))
    (thumbnail,) = (found for found in embedded(coded) if found.shape == (90, 120, 3))
    assert np.abs(thumbnail[:, :40].astype(int) - 128).max() <= 2
    assert thumbnail[:, 70:].std() > 10


def test_a_chunk_of_colours_holds_colours_and_nothing_else(
    texture: Callable[..., Array], save: Callable[..., bytes], secret: bytes
) -> None:
    """Chunks of the right size stay, once; those that say they are such and hold a picture piece by piece go."""
    plain = save(texture(40, 40), "PNG")
    bodies = [(b"gAMA", struct.pack(">I", 45455)), (b"pHYs", struct.pack(">IIB", 2835, 2835, 1))]
    pieces = [(b"sRGB", secret[at : at + 400]) for at in range(0, len(secret), 400)]
    pieces += [(b"pHYs", secret[at : at + 9]) for at in range(0, len(secret) - 9, 9)]
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in (*bodies, *pieces)
    ]
    coded = anonymized(plain[:33] + b"".join(chunks) + plain[33:])
    assert [name + body in coded for name, body in bodies] == [True, True]
    assert [name + body in coded for name, body in pieces] == [False] * len(pieces)


def test_foreign_chunks_of_png_and_webp_are_left_out(
    texture: Callable[..., Array], save: Callable[..., bytes], secret: bytes
) -> None:
    info = PngInfo()
    info.add(b"prVt", secret)
    info.add_text("Raw profile type exif", secret.hex())
    info.add_text("Thumbnail", b64encode(secret).decode())
    info.add_text("Author", "Ada")
    info.add_itxt("Note", b64encode(secret).decode(), zip=True)
    coded = anonymized(save(texture(40, 40), "PNG", pnginfo=info) + secret)
    assert holds_none_of(coded, secret)
    assert Image.open(io.BytesIO(coded)).info == {"Author": "Ada"}
    webp = save(texture(40, 40), "WEBP", lossless=True, exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0")
    chunk = b"SECR" + struct.pack("<I", len(secret)) + secret + bytes(len(secret) % 2)
    longer = webp[:4] + struct.pack("<I", len(webp) + len(chunk) - 8) + webp[8:] + chunk
    assert holds_none_of(anonymized(longer), secret)


def test_many_short_texts_of_a_png_are_not_one_long_one(
    texture: Callable[..., Array], save: Callable[..., bytes]
) -> None:
    info = PngInfo()
    for index in range(200):
        info.add_text(f"part{index}", "x" * 900)
    info.add_text("Author", "Ada")
    coded = anonymized(save(texture(40, 40), "PNG", pnginfo=info))
    assert coded.count(b"x" * 900) == 9
    assert sum(len(text) for text in Image.open(io.BytesIO(coded)).info.values()) <= 8192
    assert Image.open(io.BytesIO(coded)).info["Author"] == "Ada"


def test_maker_notes_and_other_blobs_of_exif_are_left_out(exif: Callable[..., bytes], secret: bytes) -> None:
    tree = ifds.parse(exif(3, maker=secret))
    details = tree.pages[0].children[ifds.EXIF_POINTER]
    details.entries[0x9286] = Entry(7, 2000, bytes(2000))
    details.entries[0xA302] = Entry(7, 8, b"\2\0\2\0\0\1\1\2")
    tree.pages[0].entries[0xC7AA] = Entry(2, len(secret), secret)
    tree.pages[0].entries[0x8649] = Entry(1, 4, b"8BIM")
    cleaned = exifs.cleaned(ifds.serialise(tree), 4, 3)
    assert cleaned is not None
    assert holds_none_of(cleaned, secret)
    kept = ifds.parse(cleaned)
    assert not {0xC7AA, 0x8649} & kept.pages[0].entries.keys()
    assert {0x927C, 0x9286} & kept.pages[0].children[ifds.EXIF_POINTER].entries.keys() == set()
    assert kept.pages[0].children[ifds.EXIF_POINTER].entries[0xA302].raw == b"\2\0\2\0\0\1\1\2"
    assert exifs.orientation_of(cleaned) == 1


@pytest.mark.parametrize(
    ("entry", "kept"),
    [
        (Entry(2, 1000, b"A description, of words. " * 40), True),
        (Entry(2, 600, b"QUJD" * 150), False),
        (Entry(2, 9000, b"words " * 1500), False),
        (Entry(7, 64, bytes(64)), True),
        (Entry(7, 65, bytes(65)), False),
        (Entry(3, 33, bytes(66)), False),
        (Entry(12, 8, bytes(64)), True),
        (Entry(12, 9, bytes(72)), False),
        (Entry(13, 1, bytes(4)), False),
        (Entry(1, 5, b"\0\xff\xd8\xff\0"), False),
        (Entry(7, 8, b"\x89PNG\r\n\x1a\n"), False),
        (Entry(12, 2, b"RIFF\x0a\n\0\0WEBPVP8 "), False),
        (Entry(5, 2, b"\0\0\0\x18ftypheic\0\0\0\0"), False),
        (Entry(2, 12, b"RIFF's notes"), True),
        (Entry(2, 9, b"Ada\0Bob\r\n"), True),
        (Entry(2, 8, "Zoë; Ł".encode()), True),
        (Entry(2, 6, b"raw\x02\x90\x01"), False),
        (Entry(2, 4, b"\x7fELF"), False),
        (Entry(2, 9, b"Zo\xeb & \xe9t\xe9"), True),
        (Entry(2, 90, b"\x90\xa5\xb4" * 30), False),
    ],
)
def test_values_that_could_hold_a_picture_are_left_out(entry: Entry, kept: bool) -> None:
    tree = ifds.Tree("<", [ifds.Ifd({0x010F: Entry(2, 2, b"V\0"), 0xC000: entry})])
    cleaned = exifs.cleaned(ifds.serialise(tree), 1, 1)
    assert cleaned is not None
    assert (0xC000 in ifds.parse(cleaned).pages[0].entries) is kept


@pytest.mark.parametrize(
    ("tag", "entry", "kept"),
    [
        (0xA302, Entry(7, 1024, bytes(1024)), True),
        (0xA302, Entry(7, 1025, bytes(1025)), False),
        (0x87B0, Entry(12, 1000, bytes(8000)), True),
        (0x87B0, Entry(12, 2000, bytes(16000)), False),
        (0x9286, Entry(7, 28, b"ASCII\0\0\0On a bridge, evening  "), True),
        (0x9286, Entry(7, 808, b"ASCII\0\0\0" + b"\x90\xa5\xb4\x02" * 200), False),
        (0x9286, Entry(7, 800, b"\x90\xa5\xb4\xb3" * 200), False),
        (0x9286, Entry(7, 22, b"UNICODE\0" + "Brücke\n".encode("utf-16-le")), True),
        (0x9286, Entry(7, 22, b"UNICODE\0" + "Brücke\n".encode("utf-16-be")), True),
        (0x9286, Entry(7, 308, b"UNICODE\0" + bytes(range(1, 151)) * 2), False),
        (0x9C9B, Entry(1, 16, "Brücke!\0".encode("utf-16-le")), True),
        (0x9C9B, Entry(1, 300, bytes(range(1, 151)) * 2), False),
        (0x9C9B, Entry(1, 600, ("QUJD" * 75).encode("utf-16-le")), False),
    ],
)
def test_known_fields_hold_what_they_are_for(tag: int, entry: Entry, kept: bool) -> None:
    details = ifds.Ifd({tag: entry, 0x9000: Entry(7, 4, b"0232")})
    tree = ifds.Tree("<", [ifds.Ifd({}, {ifds.EXIF_POINTER: details})])
    cleaned = exifs.cleaned(ifds.serialise(tree), 1, 1)
    assert cleaned is not None
    assert (tag in ifds.parse(cleaned).pages[0].children[ifds.EXIF_POINTER].entries) is kept


@pytest.mark.parametrize(
    "packet",
    [
        b"<xmp:Thumbnails><rdf:li xmpGImg:image='/9j/4AAQ'/></xmp:Thumbnails>",
        b"<rdf:Description GImage:Data='abc'/>",
        b"<rdf:Description xmpNote:HasExtendedXMP='0123'/>",
        b"<x data='" + b"A" * 400 + b"'/>",
        b"<mwg-rs:Regions>Ada Lovelace</mwg-rs:Regions>",
        b"<MPReg:PersonDisplayName>Ada</MPReg:PersonDisplayName>",
        b"<acdsee-rs:Name>Ada</acdsee-rs:Name>",
        b"<x xmlns:a='http://ns.acdsee.com/regions/'/>",
        b"<acdsee:categories>&lt;Category&gt;People&lt;Category&gt;Ada&lt;/Category&gt;</acdsee:categories>",
        b"<expressionmedia:People>Ada</expressionmedia:People>",
        b"<x xmlns:q='http://ns.adobe.com/xap/1.0/g/img/'/>",
        b"<x xmlns:q='http://ns.google.com/photos/1.0/depthmap/'/>",
        b"<q:image>/9j/4AAQ</q:image>",
        b"<q:image>iVBO&#xA;Rw0KGgo</q:image>",
        b"<!DOCTYPE x [<!ENTITY a 'QUJD'>]><x/>",
        b"<Iptc4xmpExt:ImageRegion><Iptc4xmpExt:Name>Ada</Iptc4xmpExt:Name></Iptc4xmpExt:ImageRegion>",
        b"<digiKam:TagsList><rdf:li>People/Ada</rdf:li></digiKam:TagsList>",
        b"<lr:hierarchicalSubject><rdf:li>People|Ada</rdf:li></lr:hierarchicalSubject>",
        b"<x xmlns:p='http://ns.microsoft.com/photo/1.2/t/Region#'/>",
        b"latin \xe9",
        b"utf-16\0",
    ],
)
def test_xmp_with_pictures_or_names_is_left_out(packet: bytes) -> None:
    assert exifs.clean_xmp(packet) is None


@pytest.mark.parametrize("lines", ["", "\n", "\r\n    ", "&#xA;", "&#10;", "&#13;&#x0A;\t", "&#65;&#x41;"])
@pytest.mark.parametrize("name", ["a:image", "b:data"])
def test_base64_in_xmp_is_found_however_its_lines_are_broken(secret: bytes, lines: str, name: str) -> None:
    """No word of a known schema, no known start: only the long text gives it away."""
    text = b64encode(secret[20:220]).decode()
    broken = lines.join(text[at : at + 76] for at in range(0, len(text), 76))
    assert exifs.clean_xmp(f"<x:xmpmeta><{name}>{broken}</{name}></x:xmpmeta>".encode()) is None
    assert exifs.clean_xmp(f"<x:xmpmeta><{name}>{broken[:150]}</{name}></x:xmpmeta>".encode()) is not None


def test_keywords_of_windows_are_left_out() -> None:
    name = "Jane Doe".encode("utf-16le")
    tree = ifds.Tree("<", [ifds.Ifd({0x010F: Entry(2, 2, b"V\0"), 0x9C9E: Entry(1, len(name), name)})])
    cleaned = exifs.cleaned(ifds.serialise(tree), 1, 1)
    assert cleaned is not None
    assert name not in cleaned


def test_plain_xmp_is_kept_with_its_padding() -> None:
    packet = b"<rdf:Description dc:creator='Ada'/>" + b" " * 2048
    assert exifs.clean_xmp(packet) == packet
    words = (
        "<dc:description>Two people&#xA;on a bridge, seen from the west; it&#39;s evening. </dc:description>" * 9
    ).encode()
    assert exifs.clean_xmp(words) == words
    turned = b"<tiff:Orientation>8</tiff:Orientation><x tiff:Orientation = '6'/>"
    assert exifs.clean_xmp(turned) == b"<tiff:Orientation>1</tiff:Orientation><x tiff:Orientation = '1'/>"


def test_a_profile_is_cut_to_its_size_and_must_fit(icc: Callable[..., bytes], secret: bytes) -> None:
    assert exifs.clean_icc(icc(b"RGB ") + secret, media.Layout.BGR) == icc(b"RGB ")
    assert exifs.clean_icc(icc(b"GRAY"), media.Layout.BGR) is None
    assert exifs.clean_icc(secret, media.Layout.BGR) is None
    assert exifs.clean_icc(icc(b"CMYK"), media.Layout.CMYK) == icc(b"CMYK")


def test_a_broken_exif_block_is_dropped_and_the_picture_stays(
    texture: Callable[..., Array], save: Callable[..., bytes], exif: Callable[..., bytes]
) -> None:
    data = save(texture(20, 30), "JPEG", exif=b"Exif\0\0" + exif(6)[:40])
    picture = media.decode(data, LIMITS)
    assert (picture.width, picture.height) == (30, 20)
    assert picture.metadata.exif is None


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_a_bad_offset_does_not_turn_the_picture_back(
    texture: Callable[..., Array], save: Callable[..., bytes], exif: Callable[..., bytes], form: str
) -> None:
    block = bytearray(exif(6, maker=bytes(600)))
    at = block.index(struct.pack("<H" if block[:2] == b"II" else ">H", 0x927C))
    block[at + 8 : at + 12] = b"\x00\xff\xff\x00"  # far outside in either byte order
    picture = media.decode(save(texture(20, 30), form, exif=b"Exif\0\0" + bytes(block)), LIMITS)
    assert (picture.width, picture.height) == (20, 30)
    assert picture.metadata.exif is not None
    assert exifs.orientation_of(picture.metadata.exif) == 1
