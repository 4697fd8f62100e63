"""From boxes to outlines by a network of their own: what is hidden is the object, or its box where that fails."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from support import outlinenet, prototypenet, streetnet
from support.prototypenet import outlined
from support.streetnet import FACE, PERSON, VEHICLE
from velum_pipeline import pipeline
from velum_pipeline.detect import DetectionFailed, Detector, Runtime
from velum_pipeline.detect.outlines import Outliner
from velum_pipeline.detect.outlinespec import OutlineSpec
from velum_pipeline.detections import Detections
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, Tiling
from velum_pipeline.packs import PackRegistry

CPU = Runtime(threads=1)
Bits = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
WANTED = Options(Method.BLACKEN, {name: ClassOptions.default(name) for name in (PERSON, VEHICLE)})
GREY = 90
MARGIN = 6
"""Pixels: two by which segments are widened, and two cells of a crop of a 96 px object."""
BIT = {PERSON: 128, VEHICLE: 16}


@pytest.fixture(scope="module")
def packs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("packs")
    streetnet.write_pack(root / "street", outline=outlinenet.onnx_model())
    streetnet.write_pack(root / "boxes")
    prototypenet.write_pack(root / "discs", prototypenet.onnx_model())
    return root


@pytest.fixture(scope="module")
def street(packs: Path) -> Detector:
    return detector(packs, "street")


def detector(root: Path, *packs: str, runtime: Runtime = CPU) -> Detector:
    return PackRegistry([root]).load(packs, runtime)


def grey(width: int, height: int) -> Pixels:
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 2] = GREY
    return pixels


def anonymize(pixels: Pixels, loaded: Detector, wish: Options = WANTED) -> tuple[Pixels, ...]:
    """The picture (BGR), the binary mask and the instance mask (BGR)."""
    done, data = cv2.imencode(".png", pixels)
    assert done
    product = pipeline.anonymize(data.tobytes(), "discs.png", loaded.detect, wish)
    files = (product.picture, product.binary_mask, product.instance_mask)
    return tuple(cv2.imdecode(np.frombuffer(file or b"", np.uint8), cv2.IMREAD_UNCHANGED) for file in files)


def box_pixels(found: Detections, row: int, shape: tuple[int, ...]) -> Bits:
    x1, y1, x2, y2 = found.boxes[row]
    bits = np.zeros(shape[:2], bool)
    bits[int(np.floor(y1)) : int(np.ceil(y2)), int(np.floor(x1)) : int(np.ceil(x2))] = True
    return bits


@pytest.fixture
def watched(packs: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Detector, outlinenet.Watched]:
    loaded = detector(packs, "street", runtime=Runtime(threads=1, batch_pixels=4 * outlinenet.SIDE**2))
    outliner = loaded._outliners[PERSON]
    watch = outlinenet.Watched(outliner._session)
    monkeypatch.setattr(outliner, "_session", watch)
    return loaded, watch


def test_outlines_are_hidden_and_the_picture_loses_nothing_else(street: Detector) -> None:
    pixels = grey(320, 256)
    person = streetnet.draw(pixels, PERSON, 10, 10, 96, 44)
    vehicle = streetnet.draw(pixels, VEHICLE, 26, 20, 112, 52)
    picture, binary, instance = anonymize(pixels, street)
    assert outlined(instance[..., 0] & BIT[PERSON], person, margin=MARGIN)
    assert outlined(instance[..., 0] & BIT[VEHICLE], vehicle, margin=MARGIN)
    assert not picture[person | vehicle].any()
    np.testing.assert_array_equal(picture[binary == 0], pixels[binary == 0])


@pytest.mark.parametrize("x", [12, 14, 15, 16, 18])
def test_an_object_on_a_tiles_border_gets_one_outline(street: Detector, x: int) -> None:
    pixels = grey(256, 128)
    disc = streetnet.draw(pixels, PERSON, x, 8, 104, 48)
    wish = replace(WANTED, tiling=Tiling("grid", columns=2, rows=2, overlap_x=16))
    _, binary, instance = anonymize(pixels, street, wish)
    assert outlined(binary, disc, margin=MARGIN)
    assert set(np.unique(instance[..., 1])) == {0, 1}


@settings(max_examples=40, deadline=None)
@given(
    x=st.integers(0, 31),
    y=st.integers(0, 15),
    radius=st.integers(4, 60),
    room=st.floats(1.0, 1.2),
    tiling=st.sampled_from([Tiling(), Tiling("grid", columns=4, rows=2, overlap_x=48)]),
)
def test_wherever_it_lies_the_object_is_hidden(
    street: Detector, x: int, y: int, radius: int, room: float, tiling: Tiling
) -> None:
    """Also at the picture's edges, where half of the crop is grey, and down to eight pixels."""
    pixels = grey(256, 128)
    disc = streetnet.draw(pixels, PERSON, x, y, round(2 * radius * room), radius)
    _, binary, _ = anonymize(pixels, street, replace(WANTED, tiling=tiling))
    assert outlined(binary, disc, margin=MARGIN)


@pytest.mark.parametrize("turn", [-64, -104, -24])  # half of it beyond the seam, most of it, and 8 pixels
def test_an_object_on_a_panoramas_seam_is_hidden_at_both_edges(street: Detector, turn: int) -> None:
    pixels = grey(512, 256)
    disc = np.roll(streetnet.draw(pixels, PERSON, 8, 12, 112, 52), turn, axis=1)
    pixels = np.ascontiguousarray(np.roll(pixels, turn, axis=1))
    assert disc[:, 0].any()
    assert disc[:, -1].any()
    wish = replace(WANTED, tiling=Tiling("pano", pano_width=4096))
    _, binary, _ = anonymize(pixels, street, wish)
    if turn == -24:
        binary[:, -13:][~disc[:, -13:]] = 0  # so thin a slice of a disc is hidden by its box
    twice = np.hstack([binary, binary])
    assert outlined(twice[:, 256:768], np.roll(disc, 256, axis=1), margin=MARGIN)


@pytest.mark.parametrize(("turn", "edge"), [(240, "right"), (-184, "left")])
def test_what_reaches_over_a_seam_that_its_box_does_not_touch_is_hidden_too(
    street: Detector, turn: int, edge: str
) -> None:
    pixels = grey(512, 256)
    disc = np.roll(streetnet.draw(pixels, PERSON, 28, 12, 80, 48), turn, axis=1)  # 4 to 7 pixels over the seam
    pixels = np.ascontiguousarray(np.roll(pixels, turn, axis=1))
    wish = replace(WANTED, tiling=Tiling("pano", pano_width=4096))
    (found,) = street.detect([pixels], wish)
    near = found.boxes[found.boxes[:, 2] - found.boxes[:, 0] > 40]
    assert len(near) == 1
    assert (near[0, 2] < 512) if edge == "right" else (near[0, 0] > 0)
    assert disc[:, 0].any()
    assert disc[:, -1].any()
    _, binary, _ = anonymize(pixels, street, wish)
    assert outlined(np.roll(binary, 256, axis=1), np.roll(disc, 256, axis=1), margin=MARGIN)


def test_what_reaches_out_of_its_box_is_hidden_too(street: Detector) -> None:
    """The margin is there to be seen: a hand that the detector's box leaves out is still marked."""
    pixels = grey(256, 128)
    disc = streetnet.draw(pixels, PERSON, 15, 8, 96, 52)
    (found,) = street.detect([pixels], WANTED)
    assert (disc & ~box_pixels(found, 0, disc.shape)).any()
    _, binary, _ = anonymize(pixels, street)
    assert outlined(binary, disc, margin=MARGIN)


def test_an_outline_that_failed_is_hidden_by_the_box(street: Detector) -> None:
    pixels = grey(256, 128)
    streetnet.draw(pixels, PERSON, 8, 8, 96, 20)  # far too small for its box
    streetnet.draw_part(pixels, VEHICLE, 24, 8, 80)  # nothing but a box
    (found,) = street.detect([pixels], WANTED)
    assert len(found) == 2
    _, binary, _ = anonymize(pixels, street)
    boxes = box_pixels(found, 0, binary.shape) | box_pixels(found, 1, binary.shape)
    np.testing.assert_array_equal(binary > 0, boxes)


def test_numbers_that_are_not_finite_leave_the_box_and_are_counted(
    packs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = grey(640, 384)
    disc = streetnet.draw(pixels, PERSON, 10, 10, 96, 44)
    streetnet.draw(pixels, VEHICLE, 52, 20, 250, 100)
    streetnet.draw(pixels, VEHICLE, 20, 38, 60, 28)
    pixels[180:210, 380:420, 1] = outlinenet.POISON
    loaded = detector(packs, "street")
    with caplog.at_level(logging.WARNING):
        (found,) = loaded.detect([pixels], WANTED)
    assert [mask is not None for mask in found.masks or ()] == [True, True, False]
    assert loaded.non_finite == outlinenet.SIDE**2
    assert "network outline gave 4096 numbers that are not finite" in caplog.text
    _, _, instance = anonymize(pixels, loaded)
    assert outlined(instance[..., 0] & BIT[PERSON], disc, margin=MARGIN)
    assert (instance[..., 0][box_pixels(found, 2, instance.shape)] & BIT[VEHICLE]).all()


def test_a_network_without_a_finite_number_fails_the_picture(street: Detector) -> None:
    pixels = grey(256, 128)
    streetnet.draw(pixels, PERSON, 15, 8, 96, 44)
    pixels[40:44, 100:104, 1] = outlinenet.POISON
    with pytest.raises(DetectionFailed, match="outline: output masks holds no finite number"):
        street.detect([pixels], WANTED)
    (found,) = street.detect([pixels], replace(WANTED, bbox=True))
    assert len(found) == 1


def many(count: int) -> Pixels:
    pixels = grey(640, 64 * (count // 10 + 1))
    for place in range(count):
        streetnet.draw(pixels, (PERSON, VEHICLE)[place % 2], 4 + place % 10 * 8, 4 + place // 10 * 8, 48, 20)
    return pixels


def test_objects_are_drawn_in_batches_class_by_class(watched: tuple[Detector, outlinenet.Watched]) -> None:
    loaded, watch = watched
    (found,) = loaded.detect([many(20)], WANTED)
    assert len(found) == 20
    assert all(found.masks or ())
    assert watch.sizes == [4, 4, 2, 4, 4, 2]


@pytest.mark.parametrize(
    "wish",
    [
        replace(WANTED, bbox=True),
        Options(Method.DETECT, {FACE: ClassOptions.default(FACE)}),
    ],
)
def test_nobody_is_drawn_who_need_not_be(watched: tuple[Detector, outlinenet.Watched], wish: Options) -> None:
    loaded, watch = watched
    pixels = many(10)
    streetnet.draw_part(pixels, FACE, 9, 29, 16)
    (found,) = loaded.detect([pixels], wish)
    assert len(found) == (10 if wish.bbox else 1)
    assert watch.sizes == []


def test_only_classes_asked_for_are_drawn(watched: tuple[Detector, outlinenet.Watched]) -> None:
    loaded, watch = watched
    (found,) = loaded.detect([many(20)], Options(Method.DETECT, {VEHICLE: ClassOptions.default(VEHICLE)}))
    assert len(found) == 10
    assert sum(watch.sizes) == 10


def test_only_objects_above_the_threshold_are_drawn(watched: tuple[Detector, outlinenet.Watched]) -> None:
    """A blue between vehicle and nothing is a doubtful vehicle."""
    loaded, watch = watched
    pixels = grey(256, 128)
    streetnet.draw(pixels, VEHICLE, 8, 8, 48, 20)
    streetnet.draw(pixels, VEHICLE, 24, 8, 48, 20)
    pixels[64:72, 192:200, 0] = 106
    assert len(loaded.detect([pixels], WANTED)[0]) == 1
    assert sum(watch.sizes) == 1
    sure = {VEHICLE: ClassOptions(0.05, 51)}
    assert len(loaded.detect([pixels], Options(Method.DETECT, sure))[0]) == 2
    assert sum(watch.sizes) == 3


def test_each_picture_of_several_is_drawn_from_its_own_pixels(street: Detector) -> None:
    pictures = [grey(256, 128), grey(320, 192), grey(64, 64)]
    discs = [
        streetnet.draw(pictures[0], PERSON, 8, 8, 96, 44),
        streetnet.draw(pictures[1], PERSON, 20, 12, 64, 28),
    ]
    found = street.detect(pictures, WANTED)
    assert [len(one) for one in found] == [1, 1, 0]
    for one, disc in zip(found, discs, strict=False):
        (mask,) = one.masks or ()
        assert mask is not None
        full = np.zeros(disc.shape, np.uint8)
        full[mask.y : mask.y + mask.bits.shape[0], mask.x : mask.x + mask.bits.shape[1]] = mask.bits
        assert cv2.dilate(full, np.ones((5, 5), np.uint8))[disc].all()
        assert full.sum() < 1.2 * disc.sum()


def test_masks_of_another_network_stay(packs: Path) -> None:
    """The two networks read different codes; this object is in both, and only one of them may draw it."""
    pixels = grey(256, 128)
    prototypenet.draw(pixels, 15, 8, 96, 44)  # blue 255 and a green side: a person to either
    loaded = detector(packs, "discs", "street")
    watch = outlinenet.Watched(loaded._outliners[PERSON]._session)
    loaded._outliners[PERSON]._session = watch
    (found,) = loaded.detect([pixels], WANTED)
    assert len(found) == 1
    assert all(found.masks or ())
    assert watch.sizes == []
    alone = detector(packs, "discs").detect([pixels], WANTED)[0].masks or ()
    assert (alone[0].bits.shape, alone[0].x) == (found.masks[0].bits.shape, found.masks[0].x)  # type: ignore[index, union-attr]


def test_outlines_draw_what_any_pack_found(packs: Path) -> None:
    pixels = grey(256, 128)
    disc = streetnet.draw(pixels, PERSON, 15, 8, 96, 44)
    assert detector(packs, "boxes").detect([pixels], WANTED)[0].masks is None
    _, binary, _ = anonymize(pixels, detector(packs, "boxes", "street"))
    assert outlined(binary, disc, margin=MARGIN)


class Everything(torch.nn.Module):
    """A network that marks all that it sees."""

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return crops.amax(1) * 0 + 4


def test_the_first_pack_of_an_ensemble_draws(packs: Path, tmp_path: Path) -> None:
    streetnet.write_pack(tmp_path / "coarse", outline=outlinenet.onnx_model(Everything().eval()))
    pixels = grey(256, 128)
    streetnet.draw(pixels, PERSON, 15, 8, 96, 44)
    registry = PackRegistry([packs, tmp_path])
    coarse, fine = (
        (registry.load(names, CPU).detect([pixels], WANTED)[0].masks or ())
        for names in (
            ["coarse", "street"],
            ["street", "coarse"],
        )
    )
    assert coarse[0].bits.mean() > 0.99  # type: ignore[union-attr]
    assert fine[0].bits.mean() < 0.8  # type: ignore[union-attr]


def test_torch_draws_the_same(packs: Path, tmp_path: Path) -> None:
    pixels = many(24)
    (expected,) = detector(packs, "street").detect([pixels], WANTED)
    program = Outliner.load(
        OutlineSpec.model_validate(outlinenet.SPEC | {"file": "o.pt2"}), outlinenet.torch_program(), CPU
    )
    loaded = detector(packs, "boxes")
    (found,) = Detector(loaded.components, outliners=[program]).detect([pixels], WANTED)
    people = [row for row, name in enumerate(found.classes) if name is ObjectClass.PERSON]
    assert len(people) == 12
    for row in people:
        one, other = (expected.masks or ())[row], (found.masks or ())[row]
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.bits, other.bits)
