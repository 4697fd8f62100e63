"""The whole way, with detectors that point at known places."""

import io
import json
import pickle
import random
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from velum_pipeline import media, pipeline
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.errors import MediaError, StageFailed, TooManyPixels
from velum_pipeline.options import ClassOptions, Ignore, Limits, Method, ObjectClass, Options, SaveMask

Array = np.ndarray[Any, Any]
FACE_AT = (20.0, 30.0, 60.0, 80.0)


def pointing(*rows: tuple[str, float, float, float, float]) -> pipeline.Detect:
    """A detector that answers the same for every picture."""

    def detect(pictures: list[Array], options: Options) -> list[Detections]:
        boxes = np.array([row[1:] for row in rows], np.float32).reshape(-1, 4)
        return [Detections(boxes, np.full(len(rows), 0.9), as_classes([row[0] for row in rows])) for _ in pictures]

    return detect


def difference(before: bytes, after: bytes) -> Array:
    """Per pixel, the largest change of a channel between two files as displayed."""
    first, second = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(int) for data in (before, after))
    return np.abs(first - second).max(axis=2)


@pytest.mark.parametrize("method", ["blur", "pixelate", "blacken"])
@pytest.mark.parametrize(
    ("form", "settings"), [("PNG", {}), ("TIFF", {}), ("BMP", {}), ("WEBP", {"lossless": True, "exact": True})]
)
def test_outside_the_regions_nothing_changes(
    texture: Callable[..., Array],
    save: Callable[..., bytes],
    options: Callable[..., Options],
    method: str,
    form: str,
    settings: Any,
) -> None:
    data = save(texture(120, 160), form, **settings)
    product = pipeline.anonymize(data, "a", pointing(("face", *FACE_AT)), options(method))
    assert product.picture is not None
    changed = difference(data, product.picture)
    mask = np.asarray(Image.open(io.BytesIO(product.binary_mask or b"")))
    assert (changed[mask == 0] == 0).all()
    assert (changed[30:80, 20:60] > 0).mean() > 0.8
    assert (mask[30:80, 20:60] == 255).all()


def test_jpeg_changes_little_outside(
    texture: Callable[..., Array], save: Callable[..., bytes], options: Callable[..., Options]
) -> None:
    smooth = cv2.resize(texture(6, 8), (320, 240), interpolation=cv2.INTER_CUBIC)
    data = save(smooth, "JPEG", quality=95)
    product = pipeline.anonymize(data, "a", pointing(("face", *FACE_AT)), options(quality=95))
    changed = difference(data, product.picture or b"")
    mask = np.asarray(Image.open(io.BytesIO(product.binary_mask or b"")))
    away = cv2.dilate(mask, np.ones((33, 33), np.uint8)) == 0
    assert changed[away].max() <= 6
    assert changed[40:70, 30:50].mean() > 3


def test_metadata_is_the_contract_s(
    texture: Callable[..., Array], save: Callable[..., bytes], options: Callable[..., Options]
) -> None:
    rows = (
        ("face", 19.6, 30.2, 59.1, 79.9),
        ("license-plate", 100, 10, 140, 20),
        ("person", 90, 5, 150, 110),
        ("vehicle", -5, 90, 30, 130),
    )
    product = pipeline.anonymize(
        save(texture(120, 160), "PNG"), "street.jpg", pointing(*rows), options(ignores=(Ignore(80, 0, 80, 115),))
    )
    document = json.loads(json.dumps(product.metadata))
    assert {key: document[key] for key in ("id", "filename", "folder", "size")} == {
        "id": "street.jpg",
        "filename": "street.jpg",
        "folder": None,
        "size": [120, 160],
    }
    assert 0 <= document["duration"] < 60
    face, plate, person, vehicle = document["detections"]
    assert face == {
        "id": 0,
        "parent_image": "street.jpg",
        "offset": [19, 30],
        "bbox": [19, 30, 60, 80],
        "type": 103,
        "type_label": "face",
        "score": 0.9,
        "is_anonymised": True,
        "color": [0, 1, 32],
    }
    assert (plate["type"], plate["color"], plate["is_anonymised"]) == (102, [0, 2, 64], False)
    assert (person["type"], person["color"], person["is_anonymised"]) == (100, [0, 3, 128], False)
    assert (vehicle["type"], vehicle["bbox"], vehicle["is_anonymised"]) == (101, [0, 90, 30, 120], True)
    assert product.counts == {"face": 1, "license-plate": 1, "person": 1, "vehicle": 1}
    instance = np.asarray(Image.open(io.BytesIO(product.instance_mask or b"")))
    assert {tuple(colour) for colour in instance.reshape(-1, 3)} == {(0, 0, 0), (0, 1, 32), (0, 4, 16)}


def test_detect_gives_masks_and_metadata_and_no_picture(
    texture: Callable[..., Array], save: Callable[..., bytes], options: Callable[..., Options]
) -> None:
    data = save(texture(120, 160), "PNG")
    product = pipeline.anonymize(data, "a", pointing(("face", *FACE_AT)), options("detect", debug=True))
    assert product.picture is None
    assert [entry["is_anonymised"] for entry in product.metadata["detections"]] == [False]
    blurred = pipeline.anonymize(data, "a", pointing(("face", *FACE_AT)), options())
    assert (product.binary_mask, product.instance_mask) == (blurred.binary_mask, blurred.instance_mask)


@pytest.mark.parametrize("save_mask", list(SaveMask))
def test_only_the_masks_asked_for(
    texture: Callable[..., Array], save: Callable[..., bytes], options: Callable[..., Options], save_mask: SaveMask
) -> None:
    product = pipeline.anonymize(
        save(texture(40, 50), "BMP"), "a", pointing(), options(save_mask=save_mask, mask_scale=50)
    )
    assert (product.binary_mask is not None, product.instance_mask is not None) == (
        save_mask.binary,
        save_mask.instance,
    )
    for mask in (product.binary_mask, product.instance_mask):
        if mask is not None:
            assert media.probe(mask) == media.Dimensions(25, 20)


def test_thresholds_and_classes_are_applied_before_numbering(
    texture: Callable[..., Array], save: Callable[..., bytes], options: Callable[..., Options]
) -> None:
    def detect(pictures: list[Array], wish: Options) -> list[Detections]:
        boxes = np.array([[0, 0, 10, 10], [10, 10, 20, 20], [500, 500, 510, 510], [20, 20, 30, 30]])
        return [Detections(boxes, np.array([0.49, 0.9, 0.9, 0.5]), as_classes(["face", "person", "face", "face"]))]

    wish = options(classes={ObjectClass.FACE: ClassOptions.default(ObjectClass.FACE)})
    product = pipeline.anonymize(save(texture(40, 40), "PNG"), "a", detect, wish)
    assert [(entry["id"], entry["bbox"]) for entry in product.metadata["detections"]] == [(0, [20, 20, 30, 30])]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_detections_are_on_the_displayed_picture(
    texture: Callable[..., Array],
    save: Callable[..., bytes],
    exif: Callable[..., bytes],
    options: Callable[..., Options],
    orientation: int,
) -> None:
    """A detector that looks for the white square must find it where a viewer shows it, and hide it there."""
    samples = (texture(80, 120) // 2).astype(np.uint8)
    samples[10:30, 80:110] = 255
    block = Image.Exif()
    block.load(b"Exif\0\0" + exif(orientation))
    data = save(samples, "PNG", exif=block)
    seen: list[tuple[int, ...]] = []

    def detect(pictures: list[Array], wish: Options) -> list[Detections]:
        seen.append(pictures[0].shape)
        rows, columns = np.nonzero(pictures[0].min(axis=2) == 255)
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return [Detections(np.array([box]), np.ones(1), as_classes(["vehicle"]))]

    product = pipeline.anonymize(data, "a", detect, options("blacken"))
    shown = np.asarray(Image.open(io.BytesIO(product.picture or b"")))
    assert shown.shape == seen[0] == ((80, 120, 3) if orientation < 5 else (120, 80, 3))
    assert shown.max() < 255
    assert (shown.max(axis=2) == 0).sum() >= 20 * 30
    assert product.metadata["size"] == list(shown.shape[:2])


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "CMYK", "deep"])
def test_debug_draws_and_never_reveals(
    texture: Callable[..., Array],
    save: Callable[..., bytes],
    save_deep: Callable[..., bytes],
    options: Callable[..., Options],
    form: str,
    mode: str,
) -> None:
    if (form, mode) in {("JPEG", "RGBA"), ("JPEG", "deep"), ("PNG", "CMYK")}:
        return  # no such files
    data = (
        save_deep(texture(200, 240, 3, np.uint16), form.lower())
        if mode == "deep"
        else save(texture(200, 240), form, mode)
    )
    rows = [("face", 20, 30, 90, 120), ("person", 120, 20, 200, 190), ("face", 235, 195, 300, 300)]
    picture = media.decode(data, Limits())
    plain, drawn = (
        pipeline.finish(
            media.decode(data, Limits()),
            pointing(*rows)([picture.pixels], options())[0],
            options("blacken", debug=debug, score=debug),
            "a",
            0.0,
        ).picture
        for debug in (False, True)
    )
    assert plain is not None
    assert drawn is not None
    before, after = media.decode(plain, Limits()), media.decode(drawn, Limits())
    assert not np.array_equal(before.native, after.native)
    assert before.layout is after.layout
    inside = np.abs(after.pixels[60:100, 40:80].astype(int) - before.pixels[60:100, 40:80].astype(int))
    assert inside.max() <= 4
    if before.layout.has_alpha:
        drawn_on = (after.native[..., :3] != before.native[..., :3]).any(axis=2)
        assert (after.native[drawn_on, 3] == 255).all()
        assert np.array_equal(after.native[~drawn_on, 3], before.native[~drawn_on, 3])


def test_watermark_draws_nothing(
    texture: Callable[..., Array], save: Callable[..., bytes], options: Callable[..., Options]
) -> None:
    data = save(texture(40, 50), "PNG")
    products = [pipeline.anonymize(data, "a", pointing(), options(watermark=mark)).picture for mark in (False, True)]
    assert products[0] == products[1]


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_the_place_stays_unless_it_is_to_go(
    texture: Callable[..., Array],
    save: Callable[..., bytes],
    exif: Callable[..., bytes],
    options: Callable[..., Options],
    form: str,
) -> None:
    data = save(texture(40, 50), form, exif=b"Exif\0\0" + exif())
    for gps, places in (("keep", 1), ("strip", 0)):
        product = pipeline.anonymize(data, "a", pointing(), options(gps=gps))
        block = Image.open(io.BytesIO(product.picture or b"")).getexif()
        assert len(block.get_ifd(0x8825)) == places
        assert block[0x010F] == "Velum"


def test_no_stage_that_fails_gives_a_picture(
    texture: Callable[..., Array],
    save: Callable[..., bytes],
    options: Callable[..., Options],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = save(texture(40, 50), "PNG")

    def broken(pictures: list[Array], wish: Options) -> list[Detections]:
        raise RuntimeError("the detector fell over")

    with pytest.raises(RuntimeError):
        pipeline.anonymize(data, "a", broken, options())
    with pytest.raises(StageFailed, match="0 pictures"):
        pipeline.anonymize(data, "a", lambda pictures, wish: [], options())
    from velum_pipeline.media import png

    for wrong in (b"", data[:40], save(texture(41, 50), "PNG"), save(texture(40, 50), "JPEG")):
        monkeypatch.setattr(png, "encode", lambda picture, level, wrong=wrong: wrong)
        with pytest.raises(StageFailed, match="something else"):
            pipeline.anonymize(data, "a", pointing(), options())


def test_bad_files_and_limits_come_before_the_detector(
    texture: Callable[..., Array], save: Callable[..., bytes], options: Callable[..., Options]
) -> None:
    def never(pictures: list[Array], wish: Options) -> list[Detections]:
        raise AssertionError("the detector saw a bad file")

    for data in (b"", b"text", save(texture(40, 50), "JPEG")[:-40]):
        with pytest.raises(MediaError):
            pipeline.anonymize(data, "a", never, options())
    with pytest.raises(TooManyPixels):
        pipeline.anonymize(save(texture(40, 50), "JPEG"), "a", never, options(), Limits(1999))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_the_smallest_picture_with_the_largest_boxes(
    save: Callable[..., bytes], options: Callable[..., Options], form: str
) -> None:
    data = save(np.full((1, 1, 3), 200, np.uint8), form)
    for method in Method:
        product = pipeline.anonymize(
            data, "a", pointing(*[(str(name), -1e6, -1e6, 1e6, 1e6) for name in ObjectClass]), options(str(method))
        )
        assert (product.picture is None) == (method is Method.DETECT)
        assert [entry["bbox"] for entry in product.metadata["detections"]] == [[0, 0, 1, 1]] * 4


def test_many_objects(
    texture: Callable[..., Array], save: Callable[..., bytes], options: Callable[..., Options]
) -> None:
    picker = random.Random(0)
    rows = []
    for _ in range(600):
        x, y = picker.uniform(0, 300), picker.uniform(0, 200)
        rows.append(
            (picker.choice(list(ObjectClass)).value, x, y, x + picker.uniform(1, 20), y + picker.uniform(1, 20))
        )
    product = pipeline.anonymize(save(texture(200, 300), "PNG"), "a", pointing(*rows), options())
    colours = [tuple(entry["color"]) for entry in product.metadata["detections"]]
    assert [colour[1] for colour in colours[:3]] == [1, 2, 3]
    assert max(colour[1] for colour in colours) == 255
    instance = np.asarray(Image.open(io.BytesIO(product.instance_mask or b"")))
    assert set(np.unique(instance[..., 1])) <= {0, *(colour[1] for colour in colours)}


def test_a_product_travels_between_processes(
    texture: Callable[..., Array], save: Callable[..., bytes], options: Callable[..., Options]
) -> None:
    picture = pipeline.prepare(save(texture(40, 50), "JPEG"))
    assert np.array_equal(pickle.loads(pickle.dumps(picture)).pixels, picture.pixels)
    product = pipeline.finish(picture, Detections.empty(), options(), "a", 0.0, clock=lambda: 1.5)
    assert pickle.loads(pickle.dumps(product)) == product
    assert product.metadata["duration"] == 1.5
    assert (product.media_type, product.extension) == ("image/jpeg", ".jpg")
