"""What comes back is what went in: samples, depth, alpha, type, orientation, metadata."""

import io
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from velum_pipeline import media
from velum_pipeline.media import Layout
from velum_pipeline.media.exif import orientation_of
from velum_pipeline.media.kinds import PNG
from velum_pipeline.options import Limits

Array = np.ndarray[Any, Any]
LIMITS = Limits()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d" dc:rights="Ada"/></x:xmpmeta>'

LOSSLESS = [
    ("PNG", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_adobe_deflate"}),
    ("BMP", {}),
    ("WEBP", {"lossless": True, "exact": True}),
]


@pytest.mark.parametrize(("form", "settings"), LOSSLESS)
@pytest.mark.parametrize(("channels", "layout"), [(1, Layout.GREY), (3, Layout.BGR), (4, Layout.BGRA)])
def test_eight_bits_come_back_exactly(
    texture: Callable[..., Array], save: Callable[..., bytes], form: str, settings: Any, channels: int, layout: Layout
) -> None:
    samples = texture(37, 53, channels)
    data = save(samples, form, **settings)
    if form == "BMP" and channels == 4:
        data = cv2.imencode(".bmp", cv2.cvtColor(samples, cv2.COLOR_RGBA2BGRA))[1].tobytes()
    picture = media.decode(data, LIMITS)
    assert picture.layout is (Layout.BGR if form == "WEBP" and channels == 1 else layout)
    coded = media.encode(picture)
    again = media.decode(coded, LIMITS)
    assert media.sniff(coded) == media.sniff(data) == picture.media_type
    assert np.array_equal(again.native, picture.native)
    shown = Image.open(io.BytesIO(coded)).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    assert np.array_equal(np.asarray(shown), samples)
    shown = np.atleast_3d(samples)[..., :3] * np.ones((1, 1, 3), np.uint8)
    if layout.has_alpha:
        alpha = (128 + (samples[..., 3:] >> 1)) / 255  # a picture that opacity hides is seen at half its contrast
        assert np.abs(picture.pixels[..., ::-1] - (shown * alpha + 128 * (1 - alpha))).max() <= 1
    else:
        assert np.array_equal(picture.pixels[..., ::-1], shown)


@pytest.mark.parametrize("extension", ["png", "tiff"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_come_back_exactly(
    texture: Callable[..., Array], save_deep: Callable[..., bytes], extension: str, channels: int
) -> None:
    samples = texture(31, 45, channels, np.uint16)
    picture = media.decode(save_deep(samples, extension), LIMITS)
    assert picture.native.dtype == np.uint16
    assert np.array_equal(picture.native, samples)
    coded = media.encode(picture)
    assert np.array_equal(cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_UNCHANGED), samples)
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape == (31, 45, 3)


def test_twelve_bits_in_sixteen_are_bright_enough_for_detectors(
    texture: Callable[..., Array], save_deep: Callable[..., bytes]
) -> None:
    samples = texture(20, 20, 1, np.uint16) >> 4
    pixels = media.decode(save_deep(samples, "png"), LIMITS).pixels
    assert np.array_equal(pixels[..., 0], samples >> 4)


@pytest.mark.parametrize(
    ("form", "mode", "layout"),
    [
        ("PNG", "P", Layout.BGR),
        ("PNG", "1", Layout.GREY),
        ("PNG", "LA", Layout.BGRA),
        ("BMP", "P", Layout.BGR),
        ("BMP", "1", Layout.GREY),
        ("TIFF", "P", Layout.BGR),
        ("TIFF", "1", Layout.GREY),
        ("TIFF", "LA", Layout.BGRA),
        ("TIFF", "CMYK", Layout.CMYK),
        ("TIFF", "I;16", Layout.GREY),
        ("TIFF jpeg", "RGB", Layout.BGR),
        ("TIFF jpeg", "L", Layout.GREY),
    ],
)
def test_unusual_samples_look_the_same(
    texture: Callable[..., Array], save: Callable[..., bytes], form: str, mode: str, layout: Layout
) -> None:
    source = texture(24, 30, 1, np.uint16) if mode == "I;16" else texture(24, 30, 3)
    form, _, compression = form.partition(" ")
    data = save(source, form, None if mode == "I;16" else mode, **({"compression": compression} if compression else {}))
    picture = media.decode(data, LIMITS)
    assert picture.layout is layout
    before, after = Image.open(io.BytesIO(data)), Image.open(io.BytesIO(media.encode(picture)))
    common = mode if mode in ("I;16", "CMYK") else "RGBA"
    assert np.array_equal(np.asarray(before.convert(common)), np.asarray(after.convert(common)))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(100, 100), (2500, 1700)])
def test_hot_pixels_do_not_darken_what_detectors_see(
    texture: Callable[..., Array], channels: int, size: tuple[int, int]
) -> None:
    samples = texture(*size, channels, np.uint16) >> 6
    layout = Layout.GREY if channels == 1 else Layout.BGR
    calm = media.Picture(PNG, samples.copy(), layout).pixels
    assert calm.max() > 200
    samples.reshape(size[0], size[1], -1)[:: size[0] // 3 + 1, 0] = 65535
    hot = media.Picture(PNG, samples, layout).pixels
    assert (hot != calm).any(axis=2).sum() <= 3
    assert hot[0, 0].min() == 255


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("colour", [0, 255])
def test_detectors_see_what_is_drawn_by_opacity_alone(dtype: Any, colour: int) -> None:
    white = np.iinfo(dtype).max
    samples = np.full((20, 30, 4), colour * (white // 255), dtype)
    samples[..., 3] = white
    samples[5:15, 10:20, 3] = 0
    pixels = media.Picture(PNG, samples, Layout.BGRA).pixels
    assert (pixels[5:15, 10:20] == 128).all()
    assert (pixels[:5] == colour).all()
    samples[..., 3] = white
    opaque = media.Picture(PNG, samples, Layout.BGRA)
    assert (opaque.pixels == colour).all()


@pytest.mark.parametrize(("mode", "key"), [("RGB", (1, 2, 3)), ("L", 7), ("P", 0), ("1", 1)])
def test_a_colour_key_stays_transparent(texture: Callable[..., Array], mode: str, key: Any) -> None:
    image = Image.fromarray(texture(8, 8, 3)).convert(mode)
    image.paste(key, (0, 0, 8, 4))
    buffer = io.BytesIO()
    image.save(buffer, "PNG", transparency=key)
    picture = media.decode(buffer.getvalue(), LIMITS)
    assert picture.layout is Layout.BGRA
    assert (picture.native[:4, :, 3] == 0).all()
    shown = Image.open(io.BytesIO(buffer.getvalue())).convert("RGBA")
    assert np.array_equal(cv2.cvtColor(picture.native, cv2.COLOR_BGRA2RGBA), np.asarray(shown))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_orientation_comes_out_upright(
    texture: Callable[..., Array], save: Callable[..., bytes], exif: Callable[..., bytes], form: str, orientation: int
) -> None:
    samples = cv2.resize(texture(4, 6), (60, 40), interpolation=cv2.INTER_CUBIC)
    settings = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}.get(form, {})
    block = Image.Exif()
    block.load(b"Exif\0\0" + exif(orientation))
    data = save(samples, form, exif=block, **settings)
    expected = ImageOps.exif_transpose(_with_orientation(samples, orientation))
    picture = media.decode(data, LIMITS)
    coded = media.encode(picture, quality=100)
    assert (picture.width, picture.height) == expected.size
    shown = Image.open(io.BytesIO(coded))
    assert shown.getexif().get(0x0112) == 1
    details = shown.getexif().get_ifd(0x8769)
    assert (details[0xA002], details[0xA003]) == expected.size
    difference = np.abs(np.asarray(shown.convert("RGB")).astype(int) - np.asarray(expected).astype(int))
    assert difference.max() <= (12 if form == "JPEG" else 0)


def _with_orientation(samples: Array, orientation: int) -> Image.Image:
    image = Image.fromarray(samples)
    image.getexif()[0x0112] = orientation
    return image


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_metadata_travels(
    texture: Callable[..., Array],
    save: Callable[..., bytes],
    exif: Callable[..., bytes],
    icc: Callable[..., bytes],
    form: str,
) -> None:
    block = Image.Exif()
    block.load(b"Exif\0\0" + exif(6))
    xmp = XMP % 6
    settings: dict[str, Any] = {"exif": block, "icc_profile": icc(b"RGB ")}
    if form == "TIFF":
        block[0x02BC] = xmp
    elif form == "PNG":
        settings["pnginfo"] = _png_xmp(xmp)
    else:
        settings["xmp"] = xmp
    coded = media.encode(media.decode(save(texture(20, 30), form, **settings), LIMITS))
    shown = Image.open(io.BytesIO(coded))
    kept = shown.getexif()
    assert (kept[0x010F], kept.get_ifd(0x8769)[0x9003], kept.get_ifd(0x8825)[1]) == (
        "Velum",
        "2024:01:02 03:04:05",
        "N",
    )
    assert shown.info["icc_profile"] == icc(b"RGB ")
    assert XMP % 1 in coded
    assert b'Orientation="6"' not in coded
    twice = media.encode(media.decode(coded, LIMITS))
    assert media.decode(twice, LIMITS).metadata == media.decode(coded, LIMITS).metadata


def _png_xmp(xmp: bytes) -> Any:
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_itxt("XML:com.adobe.xmp", xmp.decode())
    return info


def test_small_facts_travel(texture: Callable[..., Array], save: Callable[..., bytes]) -> None:
    def info(form: str, **settings: Any) -> dict[Any, Any]:
        coded = media.encode(media.decode(save(texture(20, 30), form, **settings), LIMITS))
        return Image.open(io.BytesIO(coded)).info

    assert info("JPEG", dpi=(300, 300))["dpi"] == (300, 300)
    assert info("PNG", dpi=(300, 300))["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert info("TIFF", dpi=(300, 300))["dpi"] == (300, 300)
    assert info("BMP", dpi=(300, 300))["dpi"] == pytest.approx((300, 300), abs=0.1)


@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
def test_jpeg_keeps_its_subsampling(
    texture: Callable[..., Array], save: Callable[..., bytes], subsampling: str
) -> None:
    import simplejpeg

    coded = media.encode(media.decode(save(texture(64, 64), "JPEG", subsampling=subsampling), LIMITS))
    assert simplejpeg.decode_jpeg_header(coded)[3] == subsampling.replace(":", "")


def test_quality_and_level_are_honoured(texture: Callable[..., Array], save: Callable[..., bytes]) -> None:
    jpeg, png = save(texture(64, 64), "JPEG", quality=95), save(texture(64, 64), "PNG")
    assert (
        len(media.reencode(jpeg, quality=20))
        < len(media.reencode(jpeg, quality=0))
        < len(media.reencode(jpeg, quality=100))
    )
    assert media.reencode(jpeg, quality=0) == media.reencode(jpeg, quality=None)
    assert len(media.reencode(png, compress_level=9)) < len(media.reencode(png, compress_level=0))
    assert np.array_equal(
        media.decode(media.reencode(png, compress_level=1), LIMITS).native, media.decode(png, LIMITS).native
    )


def test_a_jpeg_header_beyond_the_head_is_unknown_not_wrong(
    texture: Callable[..., Array], save: Callable[..., bytes], icc: Callable[..., bytes]
) -> None:
    data = save(texture(20, 30), "JPEG", icc_profile=icc())
    frame = data.index(b"\xff\xc0")
    assert media.probe(data[: frame + 5]) is None
    assert media.probe(data[: frame + 20]) == media.Dimensions(30, 20)


def test_a_big_endian_tiff(texture: Callable[..., Array], exif: Callable[..., bytes]) -> None:
    from velum_pipeline.media import tiff
    from velum_pipeline.media.ifd import Ifd, Tree, serialise

    samples = texture(9, 11, 3, np.uint16)
    metadata = media.Metadata(exif=serialise(Tree(">", [Ifd()])))
    picture = media.Picture(media.sniff(b"MM\0*"), samples, Layout.BGR, metadata)  # type: ignore[arg-type]
    coded = tiff.encode(picture, 5)
    assert coded[:2] == b"MM"
    assert np.array_equal(cv2.imdecode(np.frombuffer(coded, np.uint8), cv2.IMREAD_UNCHANGED), samples)
    assert np.array_equal(media.decode(coded, LIMITS).native, samples)
    assert orientation_of(coded) == 1
