"""From a pack with instance masks to the products: what is hidden is the object's outline, not its box."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support import prototypenet as net
from support.prototypenet import PERSON, VEHICLE
from velum_pipeline import pipeline
from velum_pipeline.detect import Component, ComponentSpec, Detector, Runtime
from velum_pipeline.detect.component import View
from velum_pipeline.detect.merge import SAME_OBJECT, fuse
from velum_pipeline.detect.prototypes import LogitMap
from velum_pipeline.detect.tiles import Window
from velum_pipeline.detections import Detections
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling
from velum_pipeline.packs import PackRegistry

CPU = Runtime(threads=1)
Constant = Callable[[Mapping[str, NDArray[np.float32]]], bytes]
Bits = NDArray[np.bool_]
WANTED = Options(
    Method.BLACKEN, {name: ClassOptions.default(name) for name in (ObjectClass.PERSON, ObjectClass.VEHICLE)}
)
BIT = {PERSON: 128, VEHICLE: 16}
GREY = 90
"""The background: neither red enough to be an object nor black, so that what is blackened shows."""
MARGIN = 5
"""Pixels: two by which segments are widened, one cell of prototypes less a bit for the curve between cells."""
WHOLE_AND_TILES = [
    Tiling(),
    Tiling("grid", columns=2, rows=1, overlap_x=64),
    Tiling("grid", columns=2, rows=2),
    Tiling("grid", columns=4, rows=1, overlap_x=16),
]


def detector(root: Path, *packs: str) -> Detector:
    return PackRegistry([root]).load(packs, CPU)


def grey(width: int, height: int) -> NDArray[np.uint8]:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 2] = GREY
    return pixels


def anonymize(pixels: NDArray[np.uint8], loaded: Detector, wish: Options) -> tuple[NDArray[np.uint8], ...]:
    """The picture (BGR), the binary mask and the instance mask (BGR, so that blue is first)."""
    done, data = cv2.imencode(".png", pixels)
    assert done
    product = pipeline.anonymize(data.tobytes(), "discs.png", loaded.detect, wish)
    files = (product.picture, product.binary_mask, product.instance_mask)
    return tuple(cv2.imdecode(np.frombuffer(file or b"", np.uint8), cv2.IMREAD_UNCHANGED) for file in files)


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("packs")
    for layout in ("yolov8", "yolov5", "end-to-end"):
        net.write_pack(root / layout, net.onnx_model(layout), layout=layout)
    net.write_pack(root / "torch", net.torch_program(), "discs.pt2")
    return root


@pytest.mark.parametrize("pack", ["yolov8", "yolov5", "end-to-end", "torch"])
def test_masks_show_outlines_and_the_picture_loses_nothing_else(packs: Path, pack: str) -> None:
    pixels = grey(320, 256)
    person, vehicle = net.draw(pixels, 10, 10, 96, 44), net.draw(pixels, 26, 20, 112, 52, VEHICLE)
    picture, binary, instance = anonymize(pixels, detector(packs, pack), WANTED)
    assert net.outlined(instance[..., 0] & BIT[PERSON], person, margin=MARGIN)
    assert net.outlined(instance[..., 0] & BIT[VEHICLE], vehicle, margin=MARGIN)
    assert set(np.unique(instance[..., 1])) == {0, 1, 2}
    np.testing.assert_array_equal(binary > 0, instance[..., 0] > 0)
    assert not picture[person | vehicle].any()
    np.testing.assert_array_equal(picture[binary == 0], pixels[binary == 0])


@pytest.mark.parametrize("tiling", WHOLE_AND_TILES, ids=lambda one: f"{one.mode}-{one.columns}x{one.rows}")
@pytest.mark.parametrize("x", [12, 14, 15, 16, 18])
def test_an_object_on_a_tiles_border_is_hidden_by_its_outline(packs: Path, tiling: Tiling, x: int) -> None:
    """Its centre in one tile, in the other or in both: one object, all of its disc, and no corner of its box."""
    pixels = grey(256, 128)
    disc = net.draw(pixels, x, 8, 104, 48)
    _, binary, instance = anonymize(pixels, detector(packs, "yolov8"), replace(WANTED, tiling=tiling))
    assert net.outlined(binary, disc, margin=MARGIN)
    assert set(np.unique(instance[..., 1])) == {0, 1}


@settings(max_examples=40, deadline=None)
@given(
    x=st.integers(2, 29),
    y=st.integers(2, 13),
    radius=st.integers(12, 60),
    columns=st.sampled_from([1, 2, 4]),
    rows=st.sampled_from([1, 2]),
    overlap=st.sampled_from([0, 16, 48]),
)
def test_wherever_borders_fall_the_outline_is_hidden(
    packs: Path, x: int, y: int, radius: int, columns: int, rows: int, overlap: int
) -> None:
    """Also at the picture's own edges, and when the object is larger than a tile."""
    pixels = grey(256, 128)
    disc = net.draw(pixels, x, y, 2 * radius + 8, radius)
    tiling = Tiling("grid", columns=columns, rows=rows, overlap_x=overlap, overlap_y=overlap)
    _, binary, instance = anonymize(pixels, detector(packs, "yolov8"), replace(WANTED, tiling=tiling))
    assert net.outlined(binary, disc, margin=MARGIN)
    assert set(np.unique(instance[..., 1])) == {0, 1}


def test_an_object_on_a_panoramas_seam_is_hidden_at_both_edges(packs: Path) -> None:
    pixels = grey(512, 256)
    disc = np.roll(net.draw(pixels, 8, 12, 112, 52), -64, axis=1)
    pixels = np.ascontiguousarray(np.roll(pixels, -64, axis=1))
    assert disc[:, 0].any()
    assert disc[:, -1].any()
    wish = Options(
        WANTED.method, {ObjectClass.PERSON: WANTED.classes[ObjectClass.PERSON]}, tiling=Tiling("pano", pano_width=4096)
    )
    _, binary, _ = anonymize(pixels, detector(packs, "yolov8"), wish)
    twice = np.hstack([binary, binary])
    assert net.outlined(twice[:, 256:768], np.roll(disc, 256, axis=1), margin=MARGIN)


@pytest.mark.parametrize("tiling", WHOLE_AND_TILES[:2], ids=["whole", "tiles"])
def test_bbox_hides_the_box(packs: Path, tiling: Tiling) -> None:
    pixels = grey(256, 128)
    net.draw(pixels, 15, 8, 96, 44)
    wish = replace(WANTED, tiling=tiling, bbox=True)
    (found,) = detector(packs, "yolov8").detect([pixels], wish)
    assert found.masks is None
    _, binary, _ = anonymize(pixels, detector(packs, "yolov8"), wish)
    rows, columns = np.nonzero(binary)
    x1, y1, x2, y2 = found.boxes[0]
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == (
        np.floor(x1),
        np.floor(y1),
        np.ceil(x2),
        np.ceil(y2),
    )
    assert (binary[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 255).all()


def test_debugging_draws_over_what_is_hidden(packs: Path) -> None:
    pixels = grey(256, 128)
    disc = net.draw(pixels, 15, 8, 96, 44)
    picture, binary, _ = anonymize(pixels, detector(packs, "yolov8"), replace(WANTED, debug=True, score=True))
    assert net.outlined(binary, disc, margin=MARGIN)
    assert not (picture[disc] == pixels[disc]).all(axis=1).any()


def test_an_outline_that_failed_is_hidden_by_the_box(packs: Path) -> None:
    """A disc far too small for its box: the network lost the object, not so its box."""
    pixels = grey(256, 128)
    net.draw(pixels, 15, 8, 104, 20)
    _, binary, _ = anonymize(pixels, detector(packs, "yolov8"), WANTED)
    assert binary[8 * 8 + 4 - 50 : 8 * 8 + 4 + 50, 15 * 8 + 4 - 50 : 15 * 8 + 4 + 50].all()


def test_torch_and_onnx_detect_the_same(packs: Path) -> None:
    pixels = grey(512, 384)
    rng = np.random.default_rng(4)
    for place in range(24):
        label = (PERSON, VEHICLE)[place % 2]
        net.draw(
            pixels, 6 + place % 6 * 10, 6 + place // 6 * 11, int(rng.integers(24, 90)), int(rng.integers(10, 40)), label
        )
    wish = replace(WANTED, tiling=Tiling("grid", columns=2, rows=2, overlap_x=64, overlap_y=64))
    (one,), (other,) = (detector(packs, pack).detect([pixels], wish) for pack in ("yolov8", "torch"))
    assert len(one) >= 20
    assert_same(one, other)


def assert_same(one: Detections, other: Detections) -> None:
    np.testing.assert_array_equal(one.classes, other.classes)
    np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    for mask, twin in zip(one.masks or (), other.masks or (), strict=True):
        assert (mask is None) == (twin is None)
        if mask is not None and twin is not None:
            assert (mask.x, mask.y) == (twin.x, twin.y)
            np.testing.assert_array_equal(mask.bits, twin.bits)


@pytest.mark.parametrize("size", [(128, 96), (96, 128)])
@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_a_fixed_input_puts_masks_where_they_belong(tmp_path: Path, size: tuple[int, int], fit: str) -> None:
    fixed = f'kind = "fixed", width = 256, height = 256, fit = "{fit}"'
    net.write_pack(tmp_path / "boxed", net.onnx_model("yolov8", 256, 256), input=fixed)
    pixels = grey(*size)
    disc = net.draw(pixels, 5, 6, 160, 28)  # in the input; here that is 80 pixels, or 60 where it was stretched more
    _, binary, _ = anonymize(pixels, detector(tmp_path, "boxed"), WANTED)
    assert net.outlined(binary, disc, margin=MARGIN)


def test_a_pack_of_boxes_beside_it_adds_what_lies_beyond_the_masks_box(packs: Path, constant: Constant) -> None:
    """Both see the person; the other's box is 80..176, the mask's own 76..172."""
    outputs = {f"classes{s}": np.zeros((1, (64 // s) ** 2, 80), np.float32) for s in (8, 16, 32, 64)}
    outputs |= {f"sides{s}": np.zeros((1, (64 // s) ** 2, 32), np.float32) for s in (8, 16, 32, 64)}
    outputs["classes8"][0, 3 * 8 + 3, 0] = 0.99  # in the input of 64: centre (28, 28), 8 to the left and up, 16 beyond
    logits = np.full((4, 8), -100, np.float32)
    logits[range(4), [1, 1, 2, 2]] = 100
    outputs["sides8"][0, 3 * 8 + 3] = logits.ravel()
    spec = {
        "name": "boxes",
        "file": "boxes.onnx",
        "licence": "none",
        "decoder": "picodet",
        "input": {"kind": "fixed", "width": 64, "height": 64, "fit": "stretch", "colour": "bgr"},
        "classes": {"person": {"threshold": 0.5}},
    }
    boxes = Component.load(ComponentSpec.model_validate(spec), constant(outputs), CPU)
    pixels = grey(256, 256)
    disc = net.draw(pixels, 15, 15, 96, 44)
    loaded = Detector([boxes, *detector(packs, "yolov8").components])
    _, binary, instance = anonymize(pixels, loaded, WANTED)
    beyond = np.zeros(disc.shape, bool)
    beyond[80:176, 80:176] = True
    beyond[76:172, 76:172] = False
    assert net.outlined(binary, disc | beyond, margin=MARGIN)
    assert set(np.unique(instance[..., 1])) == {0, 1}


def test_faces_keep_their_ellipse(tmp_path: Path) -> None:
    net.write_pack(tmp_path / "faces", net.onnx_model(), classes="face = { threshold = 0.25, labels = [0] }")
    pixels = grey(256, 128)
    net.draw(pixels, 15, 8, 96, 44)
    face = ObjectClass.FACE
    (found,) = detector(tmp_path, "faces").detect([pixels], Options(Method.BLUR, {face: ClassOptions.default(face)}))
    assert list(found.classes) == [face]
    assert found.masks is None


def test_prototypes_go_as_soon_as_their_window_was_read(packs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the number of tiles: at most the last window's are there when the next is looked through."""
    (component,) = PackRegistry([packs]).load(["yolov8"], Runtime(threads=1, batch_pixels=1)).components
    run, seen, alive = component._session.run, [], []

    def watched(batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        alive.append(sum(reference() is not None for reference in seen))
        outputs = run(batch)
        seen.append(weakref.ref(outputs["prototypes"]))
        return outputs

    monkeypatch.setattr(component._session, "run", watched)
    pixels = grey(512, 64)
    net.draw(pixels, 15, 4, 48, 20)
    views = [View(pixels, Window(x, 0, 128, 64)) for x in range(0, 384, 16)]
    assert len(component.detect(views, {ObjectClass.PERSON: 0.4})) == len(alive) == 24
    assert max(alive) <= 1


def test_a_view_that_was_seen_holds_no_prototypes(packs: Path) -> None:
    """Hundreds of tiles would keep hundreds of maps of the whole input."""
    (component,) = detector(packs, "yolov8").components
    pixels = grey(256, 128)
    net.draw(pixels, 15, 8, 96, 44)
    (sighting,) = component.detect([View(pixels, Window(0, 0, 256, 128))], {ObjectClass.PERSON: 0.4})
    ((piece,),) = sighting.found[ObjectClass.PERSON].segments
    assert isinstance(piece.outline, LogitMap)
    assert piece.outline.logits.base is None or piece.outline.logits.base.size < 40 * 40
    assert piece.outline.logits.size < 40 * 40


def test_two_packs_whose_detectors_have_one_name_both_have_their_say(tmp_path: Path) -> None:
    for name in ("one", "other"):
        manifest = net.write_pack(tmp_path / name, net.onnx_model("yolov8")) / "pack.toml"
        text = manifest.read_text()
        manifest.write_text(text.replace(f'[[components]]\nname = "{name}"', '[[components]]\nname = "seg"'))
    loaded = detector(tmp_path, "one", "other")
    assert len({component.spec.name for component in loaded.components}) == 1
    pixels = grey(256, 128)
    net.draw(pixels, 15, 8, 96, 44)
    view = View(pixels, Window(0, 0, 256, 128))
    person = ObjectClass.PERSON
    looks = [one.detect([view], {person: 0.4})[0].found[person] for one in loaded.components]
    (segment,) = fuse(looks, SAME_OBJECT[person], complete=2).segments
    assert [piece.source.split("/")[0] for piece in segment] == ["one", "other"]
