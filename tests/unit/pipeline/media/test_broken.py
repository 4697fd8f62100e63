"""Bad files get a MediaError that says what is wrong; never a crash, never a partly grey picture."""

import itertools
import struct
import warnings
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import simplejpeg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from velum_pipeline import media
from velum_pipeline.errors import (
    CorruptMedia,
    EmptyMedia,
    MediaError,
    TooManyPixels,
    TruncatedMedia,
    UnsupportedMedia,
)
from velum_pipeline.media import ifd as ifds
from velum_pipeline.options import Limits

Array = np.ndarray[Any, Any]
FORMS = {
    "JPEG": {},
    "JPEG progressive": {"progressive": True},
    "JPEG CMYK": {"mode": "CMYK"},
    "PNG": {},
    "WEBP": {},
    "WEBP lossless": {"lossless": True},
    "TIFF": {},
    "TIFF deflate": {"compression": "tiff_adobe_deflate"},
    "TIFF lzw": {"compression": "tiff_lzw"},
    "BMP": {},
}


def whole(texture: Callable[..., Array], save: Callable[..., bytes], form: str) -> bytes:
    return save(texture(40, 56), form.split(maxsplit=1)[0], **FORMS[form])


@pytest.mark.parametrize("form", FORMS)
def test_truncated_anywhere(texture: Callable[..., Array], save: Callable[..., bytes], form: str) -> None:
    data = whole(texture, save, form)
    for length in range(1, len(data), max(1, len(data) // 120)):
        with pytest.raises(MediaError) as caught:
            media.decode(data[:length], Limits())
        if length > 200:
            assert isinstance(caught.value, TruncatedMedia), f"{length} of {len(data)}: {caught.value!r}"
    with pytest.raises(MediaError):
        media.decode(data[: -1 if form.startswith("BMP") else -2], Limits())


@pytest.mark.parametrize("form", FORMS)
def test_a_cut_is_seen_in_head_and_tail_alone(
    texture: Callable[..., Array], save: Callable[..., bytes], form: str
) -> None:
    data = whole(texture, save, form)
    kind = media.sniff(data)
    assert kind is not None
    assert media.truncation(kind, data, data[-200:], len(data)) is None
    head = data[:700]
    assert media.truncation(kind, head, data[-200:], len(data)) is None
    cut = data[: len(data) * 2 // 3]
    if "TIFF" not in form:  # a TIFF's directory may lie at its end: then only the whole file tells
        assert media.truncation(kind, head, cut[-200:], len(cut))
    assert media.truncation(kind, cut, cut[-200:], len(cut))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    form=st.sampled_from(list(FORMS)),
    changes=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damage_is_an_error_or_a_picture_of_the_announced_size(
    texture: Callable[..., Array], save: Callable[..., bytes], form: str, changes: list[tuple[float, int]]
) -> None:
    data = bytearray(whole(texture, save, form))
    for place, value in changes:
        data[int(place * len(data))] = value
    try:
        picture = media.decode(bytes(data), Limits(max_pixels=1_000_000))
    except MediaError:
        return
    else:
        announced = media.probe(bytes(data))
        assert announced is not None
        assert {picture.width, picture.height} == {announced.width, announced.height}
        assert media.sniff(media.encode(picture)) == picture.media_type


@given(st.binary(max_size=300))
def test_noise_is_refused(data: bytes) -> None:
    with pytest.raises(MediaError):
        media.decode(data, Limits())


@pytest.mark.parametrize(
    "start",
    [
        b"\xff\xd8\xff",
        b"\x89PNG\r\n\x1a\n",
        b"RIFF\xff\0\0\0WEBP",
        b"II*\0\x08\0\0\0",
        b"MM\0*\0\0\0\x08",
        b"BM\0\0\0\0\0\0\0\0",
    ],
)
@given(rest=st.binary(max_size=300))
def test_noise_after_a_signature_is_refused(start: bytes, rest: bytes) -> None:
    with pytest.raises(MediaError):
        media.decode(start + rest, Limits())


def test_empty() -> None:
    with pytest.raises(EmptyMedia, match="empty"):
        media.decode(b"", Limits())


@pytest.mark.parametrize("data", [b"GIF89a" + bytes(100), b"plain text", b"\0\0\0\x20ftypisom" + bytes(100)])
def test_other_types(data: bytes) -> None:
    with pytest.raises(UnsupportedMedia):
        media.decode(data, Limits())


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_too_many_pixels_are_known_before_decoding(
    texture: Callable[..., Array], save: Callable[..., bytes], form: str
) -> None:
    data = save(texture(40, 50), form)
    media.decode(data, Limits(max_pixels=2000))
    with pytest.raises(TooManyPixels, match=r"50 x 40 = 2000 pixels; the limit is 1999"):
        media.decode(data, Limits(max_pixels=1999))


def test_a_bomb_costs_nothing() -> None:
    header = struct.pack(">IIBBBBB", 2**19, 2**19, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b""))
    )
    with pytest.raises(TooManyPixels):
        media.decode(bomb, Limits())
    with pytest.raises(MediaError):
        media.decode(bomb.replace(struct.pack(">I", 2**19), struct.pack(">I", 64)), Limits())


def test_a_header_that_lies_about_its_size(texture: Callable[..., Array], save: Callable[..., bytes]) -> None:
    jpeg = bytearray(save(texture(40, 50), "JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 2] = (400).to_bytes(2, "big")
    with pytest.raises(MediaError):
        media.decode(bytes(jpeg), Limits())
    png = bytearray(save(texture(40, 50), "PNG"))
    png[20:24] = (4000).to_bytes(4, "big")
    png[29:33] = zlib.crc32(bytes(png[12:29])).to_bytes(4, "big")
    with pytest.raises(MediaError):
        media.decode(bytes(png), Limits())
    bmp = bytearray(save(texture(40, 50), "BMP"))
    bmp[22:26] = (4000).to_bytes(4, "little")
    with pytest.raises(TruncatedMedia):
        media.decode(bytes(bmp), Limits())


@pytest.mark.parametrize(
    ("compression", "deep"),
    [(name, deep) for name in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits") for deep in (False, True)]
    + [("jpeg", False)],
)
def test_a_tiff_of_too_few_rows(
    texture: Callable[..., Array], save: Callable[..., bytes], compression: str | None, deep: bool
) -> None:
    samples = texture(40, 50, 1, np.uint16) if deep else texture(40, 50)
    tiff = save(samples, "TIFF", compression=compression)
    entry = next(kind for kind in (3, 4) if struct.pack("<HHI", 0x101, kind, 1) in tiff)
    low, high = (struct.pack("<HHII", 0x101, entry, 1, rows) for rows in (40, 400))
    with pytest.raises(MediaError):
        media.decode(tiff.replace(low, high), Limits())
    rows = struct.pack("<HHI", 0x116, entry, 1)
    at = tiff.index(rows) + len(rows)
    with pytest.raises(MediaError):
        media.decode((tiff[:at] + (400).to_bytes(4, "little") + tiff[at + 4 :]).replace(low, high), Limits())


def test_a_png_of_empty_chunks_is_refused_before_they_fill_the_memory(save: Callable[..., bytes]) -> None:
    data = save(np.zeros((4, 4, 3), np.uint8), "PNG")
    empty = bytes(4) + b"aaAa" + zlib.crc32(b"aaAa").to_bytes(4, "big")
    media.decode(data[:33] + empty * 4000 + data[33:], Limits())
    with pytest.raises(CorruptMedia, match="chunks beside its samples"):
        media.decode(data[:33] + empty * 5000 + data[33:], Limits())


def test_a_sampling_that_the_decoder_lacks_is_no_damage(
    texture: Callable[..., Array], save: Callable[..., bytes]
) -> None:
    """Of CMYK Pillow samples black as coarsely as the other inks."""
    with pytest.raises(UnsupportedMedia, match="chroma sampling"):
        media.decode(save(texture(40, 50), "JPEG", "CMYK", subsampling=2), Limits())


@pytest.mark.parametrize("tag", [0x111, 0x117])
def test_a_tiff_whose_strips_are_named_by_a_text(save: Callable[..., bytes], tag: int) -> None:
    tiff = save(np.zeros((40, 50, 3), np.uint8), "TIFF")
    entry = next(kind for kind in (3, 4) if struct.pack("<HHI", tag, kind, 1) in tiff)
    with pytest.raises(CorruptMedia, match="needs 1 strips or tiles and has 0"):
        media.decode(tiff.replace(struct.pack("<HHI", tag, entry, 1), struct.pack("<HHI", tag, 2, 1)), Limits())


def retold(tiff: bytes, pieces: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """A TIFF of strips with other bytes in them, and counts that are true."""
    tree = ifds.parse(tiff)
    page = tree.pages[0]
    strips = pieces(
        [tiff[at : at + n] for at, n in zip(tree.numbers(page, 0x111), tree.numbers(page, 0x117), strict=True)]
    )
    tree.put(page, 0x117, *map(len, strips), kind=4)
    tree.put(page, 0x111, *[0] * len(strips), kind=4)
    start = len(ifds.serialise(tree))
    tree.put(page, 0x111, *itertools.accumulate(map(len, strips[:-1]), initial=start), kind=4)
    return ifds.serialise(tree) + b"".join(strips)


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma"])
@pytest.mark.parametrize("deep", [False, True])
def test_a_tiff_whose_last_strip_is_damaged(
    texture: Callable[..., Array], save: Callable[..., bytes], compression: str, deep: bool
) -> None:
    samples = texture(200, 600, 1, np.uint16) if deep else texture(200, 200)
    tiff = save(samples, "TIFF", compression=compression)
    if compression != "packbits":  # Pillow tells no end by it
        assert np.array_equal(media.decode(retold(tiff, list), Limits()).native, media.decode(tiff, Limits()).native)
    for share in (0.02, 0.5, 0.9):

        def zeroed(strips: list[bytes], share: float = share) -> list[bytes]:
            kept = strips[-1][: int(len(strips[-1]) * share)]
            return [*strips[:-1], kept + bytes(len(strips[-1]) - len(kept))]

        def short(strips: list[bytes], share: float = share) -> list[bytes]:
            return [*strips[:-1], strips[-1][: int(len(strips[-1]) * share)]]

        for damage in (zeroed, short):
            with pytest.raises(MediaError):
                media.decode(retold(tiff, damage), Limits())


def test_a_deflated_strip_must_be_exactly_the_picture_s(
    texture: Callable[..., Array], save: Callable[..., bytes]
) -> None:
    tiff = save(texture(40, 50), "TIFF", compression="tiff_adobe_deflate")
    for change in (lambda raw: raw[:-1], lambda raw: raw + b"\0", lambda raw: raw + bytes(2**26)):
        with pytest.raises(CorruptMedia, match="instead of 6000"):
            media.decode(
                retold(tiff, lambda strips, c=change: [zlib.compress(c(zlib.decompress(strips[0])))]), Limits()
            )


@pytest.mark.parametrize("compression", ["tiff_ccitt", "group3", "group4", "zstd"])
def test_compressions_that_cannot_be_checked_are_refused(save: Callable[..., bytes], compression: str) -> None:
    page = save(np.zeros((40, 50), bool), "TIFF", compression=compression)
    with pytest.raises(UnsupportedMedia, match="compression"):
        media.decode(page, Limits())


def test_tiles_and_strips_may_not_be_larger_than_the_picture(save: Callable[..., bytes]) -> None:
    """A few kilobytes must not make the decoders take gigabytes."""
    small = save(np.zeros((16, 16), np.uint8), "TIFF", compression="jpeg")
    huge = save(np.zeros((4000, 4000), np.uint8), "JPEG", quality=1)
    lying = bytearray(save(np.zeros((16, 16), np.uint8), "JPEG"))
    at = lying.index(b"\xff\xc0") + 5
    lying[at : at + 4] = struct.pack(">HH", 60_000, 60_000)
    for strip, size in ((huge, "4000 x 4000"), (bytes(lying), "60000 x 60000")):
        with pytest.raises(CorruptMedia, match=f"{size} of 16 x 16"):
            media.decode(retold(small, lambda strips, strip=strip: [strip]), Limits())
    tree = ifds.Tree("<", [ifds.Ifd()])
    for tag, value in (
        (0x100, 16),
        (0x101, 16),
        (0x102, 8),
        (0x103, 8),
        (0x106, 1),
        (0x115, 1),
        (0x145, 9),
        (0x144, 8),
    ):
        tree.put(tree.pages[0], tag, value)
    for tag in (0x142, 0x143):
        tree.put(tree.pages[0], tag, 16_000)
    with pytest.raises(CorruptMedia, match="tiles of 16000 x 16000"):
        media.decode(ifds.serialise(tree), Limits())


@pytest.mark.parametrize("compression", [1, 8])
def test_small_tiles_of_a_tiff_are_read(texture: Callable[..., Array], compression: int) -> None:
    samples = texture(40, 50, 1)
    tree = ifds.Tree(">", [ifds.Ifd()])
    page = tree.pages[0]
    padded = np.pad(samples, ((0, 8), (0, 14)))
    tiles = [padded[y : y + 16, x : x + 32].tobytes() for y in (0, 16, 32) for x in (0, 32)]
    tiles = [zlib.compress(tile) for tile in tiles] if compression == 8 else tiles
    for tag, value in ((0x100, 50), (0x101, 40), (0x102, 8), (0x103, compression), (0x106, 1), (0x115, 1), (0x142, 32)):
        tree.put(page, tag, value)
    tree.put(page, 0x143, 16)
    tree.put(page, 0x145, *map(len, tiles), kind=4)
    tree.put(page, 0x144, *[0] * 6, kind=4)
    tree.put(page, 0x144, *itertools.accumulate(map(len, tiles[:-1]), initial=len(ifds.serialise(tree))), kind=4)
    data = ifds.serialise(tree) + b"".join(tiles)
    assert np.array_equal(media.decode(data, Limits()).native, samples)
    tree.put(page, 0x115, 200)
    with pytest.raises(UnsupportedMedia, match="samples"):
        media.decode(ifds.serialise(tree) + b"".join(tiles), Limits())


@pytest.mark.parametrize("padding", [b"\0\0\0", b"\xff\xff\xff", b"\0\xff\xff", b"\0" * 500, b"\xff\0\0"])
@pytest.mark.parametrize("form", ["JPEG", "JPEG progressive"])
def test_padding_before_the_end_marker_is_no_damage(
    texture: Callable[..., Array], save: Callable[..., bytes], form: str, padding: bytes
) -> None:
    data = whole(texture, save, form)
    padded = media.decode(data[:-2] + padding + data[-2:], Limits())
    assert np.array_equal(padded.native, media.decode(data, Limits()).native)


@pytest.mark.parametrize("form", ["JPEG", "JPEG progressive"])
def test_samples_left_over_before_the_end_marker_are_damage(
    texture: Callable[..., Array], save: Callable[..., bytes], form: str
) -> None:
    """A flipped bit can make the decoder end early, with a picture that is shifted from there on."""
    data = whole(texture, save, form)
    complaints = 0
    for at in range(data.rindex(b"\xff\xda") + 14, len(data) - 40, 3):
        flipped = data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]
        try:
            simplejpeg.decode_jpeg(flipped, "BGR")
        except ValueError as error:
            if "before marker 0xd9" in str(error):
                complaints += 1
                with pytest.raises(MediaError):
                    media.decode(flipped, Limits())
    assert complaints > 10
    with pytest.raises(CorruptMedia):
        media.decode(data[:-2] + b"\0\1\0" * 10 + data[-2:], Limits())


def test_a_large_picture_raises_no_warning_of_a_library(save: Callable[..., bytes]) -> None:
    data = save(np.zeros((10_000, 10_000), np.uint8), "PNG", compress_level=1)  # beyond Pillow's own bomb limit
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert media.decode(data, Limits()).width == 10_000


def test_every_error_has_its_word() -> None:
    words = {kind.reason for kind in (CorruptMedia, EmptyMedia, TooManyPixels, TruncatedMedia, UnsupportedMedia)}
    assert words == {"CorruptMedia", "EmptyMedia", "TooManyPixels", "TruncatedMedia", "UnsupportedMedia"}
