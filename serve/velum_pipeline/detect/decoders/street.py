"""Velum's own network for streets: persons and vehicles from one head, faces and number plates from another.

Two outputs for an input of H x W, already decoded to pixels of the input; scores have been through a sigmoid, and
nothing was suppressed. Rows are the cells of all strides, finest first, each ceil(H/s) * ceil(W/s) of them:

    objects   (B, N, 6), strides 8, 16, 32, 64: person score, vehicle score, x1, y1, x2, y2
    parts     (B, M, 14), strides 4, 8, 16, 32: face score, plate score, x1, y1, x2, y2, four corners x, y

Corners are a plate's, clockwise from its own top left; of a face they mean nothing and are not read. Outputs may be
torch tensors: scores are compared where they are, and only chosen rows come to main memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from velum_pipeline.detect.arrays import Array, host_floats
from velum_pipeline.detect.candidates import Candidates, promising, usable
from velum_pipeline.detect.decoders.base import Decoded, Decoder, Floors, Outputs, expect_shape, positional
from velum_pipeline.options import ObjectClass

NAME = "street"
OBJECT_STRIDES = (8, 16, 32, 64)
PART_STRIDES = (4, 8, 16, 32)
BOX = slice(2, 6)
CORNERS = slice(6, 14)
OBJECT_VALUES, PART_VALUES = BOX.stop, CORNERS.stop


@dataclass(frozen=True)
class _Place:
    """Where a class is read: which of the outputs, which column is its score, and whether it has corners."""

    output: int
    score: int
    corners: bool = False


PLACES: Mapping[ObjectClass, _Place] = MappingProxyType(
    {
        ObjectClass.PERSON: _Place(0, 0),
        ObjectClass.VEHICLE: _Place(0, 1),
        ObjectClass.FACE: _Place(1, 0),
        ObjectClass.LICENSE_PLATE: _Place(1, 1, corners=True),
    }
)


def _decode(outputs: Outputs, size: tuple[int, int], floors: Floors) -> list[Decoded]:
    objects, parts = positional(outputs, NAME, 2)
    batch = objects.shape[0]
    expect_shape(objects, (batch, _cells(size, OBJECT_STRIDES), OBJECT_VALUES), NAME, "objects")
    expect_shape(parts, (batch, _cells(size, PART_STRIDES), PART_VALUES), NAME, "parts")
    return [_decode_item((objects[item], parts[item]), floors) for item in range(batch)]


def _cells(size: tuple[int, int], strides: tuple[int, ...]) -> int:
    return sum(-(-size[0] // stride) * -(-size[1] // stride) for stride in strides)


def _decode_item(outputs: tuple[Array, Array], floors: Floors) -> Decoded:
    found: dict[ObjectClass, Candidates] = {}
    non_finite = 0
    for object_class, floor in floors.items():
        place = PLACES[object_class]
        rows = outputs[place.output]
        best, dropped = promising(rows[:, place.score], floor)
        chosen = host_floats(rows[best])
        corners = chosen[:, CORNERS].reshape(-1, 4, 2) if place.corners else None
        found[object_class], broken = usable(chosen[:, BOX], chosen[:, place.score], corners)
        non_finite += dropped + broken
    return Decoded(found, non_finite)


STREET = Decoder(NAME, frozenset(PLACES), _decode, tensors=True)
