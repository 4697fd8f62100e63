"""lossless=true on JPEGs: outside the blocks that a region touches every coefficient stays, inside none does."""

import io
import re
import struct
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image

from support import jpegreference
from velum_pipeline import media, pipeline
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.errors import OptionError, StageFailed
from velum_pipeline.media.kinds import JPEG
from velum_pipeline.media.splice import blocks, frame, markers, scans, write
from velum_pipeline.media.splice.stored import stored, stored_rectangle
from velum_pipeline.options import ClassOptions, Ignore, Limits, Method, ObjectClass, Options

Array = np.ndarray[Any, Any]
FACE = (30.0, 24.0, 70.0, 60.0)
SAMPLINGS = {"444": 0x111111, "422": 0x211111, "420": 0x221111, "440": 0x121111, "411": 0x411111}
BOXED = ObjectClass.PERSON
"""What has no margin and no gradient: without a segment its box is anonymized, and nothing else."""
HIGH, WIDE = 101, 151


def options(method: str = "blacken", **fields: Any) -> Options:
    fields.setdefault("classes", {ObjectClass.FACE: ClassOptions.default(ObjectClass.FACE)})
    return Options(Method(method), lossless=True, **fields)


def find(*boxes: tuple[float, float, float, float]) -> pipeline.Detect:
    def detect(pictures: list[Array], wish: Options) -> list[Detections]:
        rows = np.array(boxes, np.float32).reshape(-1, 4)
        classes = as_classes([*wish.classes] * len(rows))
        return [Detections(rows, np.full(len(rows), 0.9), classes) for _ in pictures]

    return detect


def spliced(data: bytes, wish: Options | None = None, *boxes: tuple[float, float, float, float]) -> tuple[bytes, Array]:
    """The product's picture and its binary mask."""
    product = pipeline.anonymize(data, "a", find(*(boxes or (FACE,))), wish or options())
    assert product.picture is not None
    return product.picture, np.asarray(Image.open(io.BytesIO(product.binary_mask or b"")))


def jpeg(samples: Array, sampling: str = "420", *, progressive: bool = False, restart: int = 0) -> bytes:
    settings = [cv2.IMWRITE_JPEG_QUALITY, 88, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SAMPLINGS[sampling]]
    settings += [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive), cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
    return cv2.imencode(".jpg", samples, settings)[1].tobytes()


def turned(data: bytes, exif: bytes) -> bytes:
    body = b"Exif\0\0" + exif
    return data[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + data[2:]


def check_blocks(before: bytes, after: bytes, mask: Array) -> list[Array]:
    """Assert that exactly the blocks that the mask touches were replaced; return them, component by component.

    mask: of the picture as stored.
    """
    replaced = []
    planes = jpegreference.planes(before)
    widest, tallest = max(each.horizontal for each in planes), max(each.vertical for each in planes)
    for one, other in zip(planes, jpegreference.planes(after), strict=True):
        assert np.array_equal(one.table, other.table)
        wide, high = 8 * widest // one.horizontal, 8 * tallest // one.vertical
        rows, columns = one.blocks.shape[:2]
        whole = np.zeros((rows * high, columns * wide), bool)
        part = mask[: whole.shape[0], : whole.shape[1]] > 0
        whole[: part.shape[0], : part.shape[1]] = part
        touched = whole.reshape(rows, high, columns, wide).any(axis=(1, 3))
        assert touched.any()
        assert not touched.all()
        assert np.array_equal(one.blocks[~touched], other.blocks[~touched])
        replaced.append(other.blocks[touched])
    return replaced


@pytest.mark.parametrize("restart", [0, 2])
@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_every_block_outside_stays_and_every_one_inside_goes(
    texture: Callable[..., Array], sampling: str, progressive: bool, restart: int
) -> None:
    data = jpeg(texture(HIGH, WIDE), sampling, progressive=progressive, restart=restart)
    wish = options(classes={BOXED: ClassOptions.default(BOXED)})
    coded, _ = spliced(data, wish)
    left, top, right, bottom = map(int, FACE)
    mask = np.zeros((HIGH, WIDE), np.uint8)
    mask[top:bottom, left:right] = 255
    check_blocks(data, coded, mask)
    assert coded.count(b"\xff\xc2" if progressive else b"\xff\xc0") == 1
    before, after = (media.decode(each, Limits()).native.astype(int) for each in (data, coded))
    assert after[top + 8 : bottom - 8, left + 8 : right - 8].max() <= 16
    away = cv2.dilate(mask, np.ones((67, 67), np.uint8)) == 0
    assert np.array_equal(before[away], after[away])


@pytest.mark.parametrize("sampling", ["444", "420"])
def test_touched_blocks_hold_what_redaction_made(texture: Callable[..., Array], sampling: str) -> None:
    """Blackened whole, a block has no other coefficient than its mean: nothing of the original is left."""
    data = jpeg(texture(HIGH, WIDE), sampling)
    coded, mask = spliced(data, options(classes={BOXED: ClassOptions.default(BOXED)}), (32, 16, 80, 64))
    for number, touched in enumerate(check_blocks(data, coded, mask)):
        assert (touched.reshape(-1, 64)[:, 1:] == 0).all()
        assert len(np.unique(touched[:, 0, 0])) == 1
        assert (touched[0, 0, 0] < 0) if number == 0 else (touched[0, 0, 0] == 0)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("sampling", ["422", "420"])
def test_a_turned_picture_stays_turned(
    texture: Callable[..., Array], exif: Callable[..., bytes], orientation: int, sampling: str
) -> None:
    data = turned(jpeg(texture(HIGH, WIDE), sampling), exif(orientation))
    coded, mask = spliced(data)
    shown = (WIDE, HIGH) if orientation >= 5 else (HIGH, WIDE)
    assert mask.shape == shown
    block = Image.open(io.BytesIO(coded)).getexif()
    assert block[0x0112] == orientation
    assert (block.get_ifd(0x8769)[0xA002], block.get_ifd(0x8769)[0xA003]) == (WIDE, HIGH)
    check_blocks(data, coded, stored(mask, orientation))
    before, after = media.decode(data, Limits()), media.decode(coded, Limits())
    assert after.native.shape == before.native.shape
    assert after.native[30:54, 36:64].max() <= 12
    assert np.array_equal(after.native[85:, 85:], before.native[85:, 85:])
    again, _ = spliced(coded)
    check_blocks(coded, again, stored(mask, orientation))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_rectangles_turn_as_samples_do(orientation: int) -> None:
    shown = np.zeros((9, 14), np.uint8)
    shown[2:5, 3:10] = 1
    x, y, wide, high = stored_rectangle((3, 2, 7, 3), orientation, 14, 9)
    found = stored(shown, orientation)
    assert found[y : y + high, x : x + wide].all()
    assert found.sum() == wide * high == 21


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("space", ["L", "CMYK", "YCCK", "RGB"])
def test_every_colour_space(
    texture: Callable[..., Array], save: Callable[..., bytes], space: str, progressive: bool
) -> None:
    samples = texture(HIGH, WIDE, 4 if space in ("CMYK", "YCCK") else 3)
    if space == "YCCK":
        data = bytes(simplejpeg.encode_jpeg(samples, 90, "CMYK", "420"))
        if progressive:  # no encoder here writes that
            whole = markers.read(data)
            store, whole.process = scans.coefficients(whole), frame.PROGRESSIVE
            data = data[: data.index(b"\xff\xdb")] + write.write(whole, store)[2:]
    elif space == "CMYK":
        buffer = io.BytesIO()
        Image.fromarray(samples, "CMYK").save(buffer, "JPEG", quality=90, progressive=progressive)
        data = buffer.getvalue()
    else:
        settings = {"keep_rgb": True, "subsampling": 0} if space == "RGB" else {}
        data = save(samples, "JPEG", space, quality=90, progressive=progressive, **settings)
    for method in ("blacken", "blur"):
        coded, mask = spliced(data, options(method))
        check_blocks(data, coded, mask)
        assert jpegreference.planes(coded)[0].blocks.shape == jpegreference.planes(data)[0].blocks.shape
    coded, _ = spliced(data)
    before, after = media.decode(data, Limits()), media.decode(coded, Limits())
    assert after.layout is before.layout
    assert after.pixels[36:50, 42:60].max() <= 8
    assert np.array_equal(after.native[85:, 100:], before.native[85:, 100:])
    others = [np.asarray(Image.open(io.BytesIO(each)).convert("RGB"))[85:, 100:] for each in (data, coded)]
    assert np.array_equal(*others)


def test_without_objects_every_coefficient_stays(texture: Callable[..., Array]) -> None:
    data = jpeg(texture(HIGH, WIDE), progressive=True)
    product = pipeline.anonymize(data, "a", find(), options())
    pairs = zip(jpegreference.planes(data), jpegreference.planes(product.picture or b""), strict=True)
    assert all(np.array_equal(one.blocks, other.blocks) for one, other in pairs)


def test_regions_at_every_edge(texture: Callable[..., Array]) -> None:
    data = jpeg(texture(HIGH, WIDE))
    boxes = [(-10, -10, 20, 20), (130, 80, 200, 200), (0, 90, 5, 101), (60, 40, 61, 41)]
    coded, mask = spliced(data, options(), *boxes)
    check_blocks(data, coded, mask)
    shown = media.decode(coded, Limits()).native
    assert shown[:16, :16].max() <= 8
    assert shown[-12:, -12:].max() <= 8


def test_ignored_rectangles_keep_their_blocks(texture: Callable[..., Array]) -> None:
    data = jpeg(texture(HIGH, WIDE), "444")
    coded, mask = spliced(data, options(ignores=(Ignore(0, 0, 48, 101),)))
    assert not mask[:, :48].any()
    check_blocks(data, coded, mask)
    before, after = media.decode(data, Limits()), media.decode(coded, Limits())
    assert np.array_equal(before.native[:, :48], after.native[:, :48])


def test_debug_draws_into_touched_blocks_only(texture: Callable[..., Array]) -> None:
    data = jpeg(texture(HIGH, WIDE), "444")
    plain, drawn = (media.decode(spliced(data, options(debug=each))[0], Limits()).native for each in (False, True))
    before = media.decode(data, Limits()).native
    assert not np.array_equal(plain, drawn)
    assert np.array_equal(drawn[85:, 100:], before[85:, 100:])
    assert (drawn[34:50, 40:60] <= 40).all()


@pytest.mark.parametrize("form", ["JPEG", "PNG"])
def test_a_picture_that_was_decoded_for_loss_is_not_passed_off_as_exact(
    texture: Callable[..., Array], save: Callable[..., bytes], form: str
) -> None:
    picture = pipeline.prepare(save(texture(40, 50), form))
    with pytest.raises(StageFailed, match="without loss"):
        pipeline.finish(picture, Detections.empty(), options(), "a", 0.0)


def test_quality_means_nothing_and_detect_makes_no_picture(texture: Callable[..., Array]) -> None:
    data = jpeg(texture(HIGH, WIDE))
    assert spliced(data, options(quality=1))[0] == spliced(data, options(quality=100))[0]
    assert pipeline.anonymize(data, "a", find(FACE), options("detect")).picture is None


def test_metadata_are_cleaned_as_always_and_the_thumbnail_is_turned_too(
    texture: Callable[..., Array], exif: Callable[..., bytes], icc: Callable[..., bytes]
) -> None:
    secret = jpeg(texture(60, 80, seed=7))
    xmp = b'<x xmlns:tiff="t" tiff:Orientation="6" dc:title="street"/>'
    profile = b"ICC_PROFILE\0\1\1" + icc()
    extra = b"".join(
        b"\xff" + bytes((code,)) + (len(body) + 2).to_bytes(2, "big") + body
        for code, body in (
            (0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp),
            (0xE2, profile),
            (0xE2, b"MPF\0" + secret),
            (0xED, b"Photoshop 3.0\0" + secret),
            (0xFE, secret),
        )
    )
    data = turned(jpeg(texture(HIGH, WIDE)), exif(6, thumbnail=secret))
    data = data[:2] + extra + data[2:] + secret
    coded, _ = spliced(data)
    assert jpegreference.planes(coded), "nothing follows the end marker"
    assert secret not in coded
    scan = secret[secret.index(b"\xff\xda") :]
    assert not any(scan[at : at + 24] in coded for at in range(0, len(scan) - 24, 8))
    assert b'tiff:Orientation="6"' in coded
    assert b"street" in coded
    assert icc() in coded
    starts = [match.start() for match in re.finditer(rb"\xff\xd8\xff", coded)]
    assert len(starts) == 2, "the picture and its new thumbnail"
    thumbnail = cv2.imdecode(
        np.frombuffer(coded[starts[1] :], np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    assert thumbnail.shape == (HIGH, WIDE, 3), "as stored"
    whole = simplejpeg.decode_jpeg(coded, "BGR")
    assert np.abs(thumbnail.astype(int) - whole).mean() < 16


def test_orientation_survives_metadata_that_cannot_be_written(texture: Callable[..., Array]) -> None:
    """A segment that was full before it was cleaned: rather no other fact than a picture that lies on its side."""
    block = Image.Exif()
    block[0x0112] = 8
    for tag in range(0xC000, 0xC008):
        block[tag] = "street " * 1160
    raw = block.tobytes().removeprefix(b"Exif\0\0")
    coded, _ = spliced(turned(jpeg(texture(HIGH, WIDE)), raw))
    assert Image.open(io.BytesIO(coded)).getexif()[0x0112] == 8


def test_what_hides_in_padding_is_not_kept(texture: Callable[..., Array]) -> None:
    """A frame header made smaller leaves blocks in the data that no reader shows, until somebody makes it larger."""
    sizes = {}
    for number, (high, wide) in enumerate([(128, 160), (116, 145)]):
        data = bytearray(jpeg(texture(128, 160), "420"))
        at = data.index(b"\xff\xc0")
        data[at + 5 : at + 9] = high.to_bytes(2, "big") + wide.to_bytes(2, "big")  # as many MCUs as before
        coded = bytearray(spliced(bytes(data))[0])
        at = coded.index(b"\xff\xc0")
        coded[at + 5 : at + 9] = (128).to_bytes(2, "big") + (160).to_bytes(2, "big")
        sizes[number] = simplejpeg.decode_jpeg(bytes(coded), "GRAY")[..., 0]
    whole, cut = sizes[0], sizes[1]
    assert np.array_equal(whole[64:116, :145], cut[64:116, :145])
    assert whole[:, 152:].std() > 10
    assert all(len(np.unique(cut[row : row + 8, 152:])) == 1 for row in range(0, 128, 8))
    assert all(len(np.unique(cut[120:, column : column + 8])) == 1 for column in range(0, 160, 8))


@pytest.mark.parametrize("process", [0xC9, 0xCA])
def test_arithmetic_codes_are_refused_by_name_before_anything_is_decoded(
    texture: Callable[..., Array], process: int
) -> None:
    data = bytearray(jpeg(texture(HIGH, WIDE)))
    data[data.index(b"\xff\xc0") + 1] = process
    with pytest.raises(OptionError, match="arithmetically") as caught:
        pipeline.prepare(bytes(data), options=options())
    assert caught.value.field == "lossless"


def test_pictures_that_would_take_minutes_are_refused_by_name(texture: Callable[..., Array]) -> None:
    data = bytearray(jpeg(texture(HIGH, WIDE)))
    at = data.index(b"\xff\xc0")
    for sides, refused in (((10_000, 10_000), False), ((10_000, 10_001), True)):
        data[at + 5 : at + 9] = struct.pack(">HH", *sides)
        assert (media.obstacle(JPEG, bytes(data)) is not None) is refused


@pytest.mark.parametrize(("form", "settings"), [("WEBP", {"quality": 80}), ("AVIF", {})])
def test_formats_that_always_lose_are_refused_by_name(
    texture: Callable[..., Array], save: Callable[..., bytes], icc: Callable[..., bytes], form: str, settings: Any
) -> None:
    data = save(texture(40, 50), form, icc_profile=icc(), **settings)
    with pytest.raises(OptionError, match=r"without lossless") as caught:
        pipeline.anonymize(data, "a", find(FACE), options())
    assert caught.value.field == "lossless"
    assert pipeline.anonymize(data, "a", find(FACE), options("detect")).picture is None


@pytest.mark.parametrize(
    ("form", "settings"),
    [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "jpeg"}), ("BMP", {}), ("WEBP", {"lossless": True})],
)
def test_formats_that_hold_samples_keep_them(
    texture: Callable[..., Array], save: Callable[..., bytes], form: str, settings: Any
) -> None:
    data = save(texture(HIGH, WIDE), form, **settings)
    coded, mask = spliced(data, options("blur"))
    before, after = (media.decode(each, Limits()).native for each in (data, coded))
    assert np.array_equal(before[mask == 0], after[mask == 0])
    assert not np.array_equal(before[mask > 0], after[mask > 0])


def test_a_splice_that_shows_anything_else_is_no_result(
    texture: Callable[..., Array], save: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = jpeg(texture(HIGH, WIDE))
    written = write.write

    def away(frame: Any, store: Array) -> bytes:
        store[-3, 5] += 8
        return written(frame, store)

    with monkeypatch.context() as broken:
        broken.setattr(write, "write", away)
        with pytest.raises(StageFailed, match="outside the blocks"):
            spliced(data)
    with monkeypatch.context() as broken:
        broken.setattr(blocks, "replace", lambda *_: None)
        with pytest.raises(StageFailed, match="not what redaction made"):
            spliced(data)
        for space in ("L", "RGB", "CMYK"):
            settings = {"keep_rgb": True, "subsampling": 0} if space == "RGB" else {}
            with pytest.raises(StageFailed, match="not what redaction made"):
                spliced(save(texture(HIGH, WIDE), "JPEG", space, **settings))
    with monkeypatch.context() as broken:
        broken.setattr(write, "write", lambda frame, store: written(frame, store)[:-40])
        with pytest.raises(StageFailed, match="does not decode"):
            spliced(data)
