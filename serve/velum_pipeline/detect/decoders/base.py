"""The shape of a decoder, and the two steps that all of them share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detect.arrays import Array
from velum_pipeline.detect.candidates import Candidates
from velum_pipeline.detect.errors import ModelInvalid
from velum_pipeline.detections import Floats
from velum_pipeline.options import ObjectClass

Outputs = Mapping[str, Array]
"""Output name to array, in the graph's own order; the first axis is the batch. Torch tensors only where a decoder takes
them."""
Floors = Mapping[ObjectClass, float]
"""The wanted classes and the native score below which a candidate is of no interest."""


@dataclass(frozen=True)
class Decoded:
    """One picture's candidates per wanted class, in pixels of the network's input, and the count of dropped cells."""

    found: Mapping[ObjectClass, Candidates]
    non_finite: int


@dataclass(frozen=True)
class Head:
    """What a manifest has to say about a network whose classes are not known beforehand.

    layout: how the outputs are laid out, in the decoder's words. count: how many labels the network tells. labels:
    which of them are which class, numbers from 0.
    """

    layout: str
    count: int
    labels: Mapping[ObjectClass, tuple[int, ...]]


Decode = Callable[[Outputs, tuple[int, int], Floors], list[Decoded]]


@dataclass(frozen=True)
class Decoder:
    """``decode(outputs, (height, width), floors)`` gives one Decoded per picture of the batch, without suppression.

    ``finds`` are the classes that it can tell. ``tensors``: whether it reads torch tensors too, or numpy arrays only.
    ``decode`` raises ModelInvalid when the outputs are not its network's.
    """

    name: str
    finds: frozenset[ObjectClass]
    decode: Decode
    tensors: bool = False


@dataclass(frozen=True)
class LabelledDecoder:
    """A decoder for networks of any labels: ``bind(head)`` makes ``decode``. ``layouts`` are the words for a head's."""

    name: str
    finds: frozenset[ObjectClass]
    layouts: frozenset[str]
    bind: Callable[[Head], Decode]
    tensors: bool = False


def positional(outputs: Outputs, decoder: str, count: int) -> Sequence[Array]:
    """The outputs by position, for graphs whose names are numbers. Raises ModelInvalid when there are fewer."""
    if len(outputs) < count:
        raise ModelInvalid(f"decoder {decoder} needs {count} outputs, the model has {', '.join(outputs)}")
    return list(outputs.values())[:count]


def expect_shape(output: Array, shape: tuple[int, ...], decoder: str, name: str) -> None:
    """Raise ModelInvalid unless the output has this shape: a wrong grid gives plausible boxes in wrong places."""
    if tuple(output.shape) != shape:
        raise ModelInvalid(f"decoder {decoder} expects {name} of shape {shape}, the model gave {tuple(output.shape)}")


def cells(rows: NDArray[np.intp], columns_per_row: int) -> tuple[Floats, Floats]:
    """Column and row (x, y) of flat cell numbers of a row-major grid, as float32."""
    return (rows % columns_per_row).astype(np.float32), (rows // columns_per_row).astype(np.float32)


def boxes_around(cx: Floats, cy: Floats, width: Floats, height: Floats) -> Floats:
    """(N, 4) boxes of centres and sizes."""
    return np.stack([cx - width / 2, cy - height / 2, cx + width / 2, cy + height / 2], axis=1)
