"""What a pack's manifest says about one detector: plain frozen data, checked when it is read.

The names here are the keys of ``pack.toml`` (docs/models.md has an example). Nothing here opens a file or a network.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from velum_pipeline.detect.decoders import DECODERS, LABELLED_DECODERS, Decode, Head
from velum_pipeline.detect.networkspec import Frozen, NetworkSpec
from velum_pipeline.detections import Floats
from velum_pipeline.options import ObjectClass

Side = Annotated[int, Field(ge=16, le=8192)]
Triple = tuple[float, float, float]


class Split(Frozen):
    """Look at each view through several windows side by side along its longer side.

    For networks of one small input size, whose objects shrink below what they can see in a large picture. Only views
    whose longer side exceeds ``above`` pixels are split; ``overlap`` is a fraction of the window. ``whole`` keeps the
    undivided view beside the windows.
    """

    windows: Annotated[int, Field(ge=2, le=16)]
    above: Annotated[int, Field(ge=1)]
    overlap: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    whole: bool = False


class PixelSpec(Frozen):
    """How pixels become numbers: ``(pixel - mean) / std`` in ``colour`` order, pixels 0..255, ``fill`` where padded.

    ``above``: look only at views whose longer side exceeds so many pixels. For the large one of two networks: what the
    small one sees at full size, the large one would only see blown up, and find things there that are none. ``upto``:
    look only at views whose longer side is at most so many pixels, for looks that enlarge. ``largest``: leave objects
    whose longer side exceeds so many pixels of the input to other looks: networks guess at what is larger than all that
    they were trained on. ``smallest``: likewise objects whose longer side is below that, for looks at a small copy.
    What is left to others is neither told nor doubted.
    """

    colour: Literal["bgr", "rgb"]
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    fill: Annotated[int, Field(ge=0, le=255)] = 0
    split: Split | None = None
    above: Annotated[int, Field(ge=0)] = 0
    upto: Annotated[int, Field(ge=1)] | None = None
    largest: Annotated[int, Field(ge=1)] | None = None
    smallest: Annotated[int, Field(ge=1)] | None = None

    @field_validator("std")
    @classmethod
    def _divisible(cls, std: Triple) -> Triple:
        if min(std) <= 0:
            raise ValueError("every value must be greater than 0")
        return std

    def takes(self, width: int, height: int) -> bool:
        """Whether a view of this size (pixels) is looked at."""
        return self.above < max(width, height) and (self.upto is None or max(width, height) <= self.upto)

    def shows(self, boxes: Floats) -> NDArray[np.bool_]:
        """Which boxes (N, 4), pixels of the input, have a size that can be trusted, (N,)."""
        longest = np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1])
        least, most = self.trusted
        return np.asarray((longest >= least) & (longest <= most), np.bool_)

    @property
    def trusted(self) -> tuple[float, float]:
        """The shortest and the longest side (pixels of the input) of objects that the look tells of."""
        return float(self.smallest or 0), math.inf if self.largest is None else float(self.largest)

    @model_validator(mode="after")
    def _some_size(self) -> Self:
        if self.trusted[0] > self.trusted[1]:
            raise ValueError("smallest must not exceed largest")
        return self


class FixedInput(PixelSpec):
    """One size for every picture: ``letterbox`` keeps the shape and pads both sides, ``stretch`` does not keep it.

    ``content``: the longer side of the letterboxed picture, smaller than the input: objects that would fill the input
    are seen small, as the network learned them. ``resized`` says that the graph was exported with another size and has
    to be freed of it.
    """

    kind: Literal["fixed"]
    width: Side
    height: Side
    fit: Literal["letterbox", "stretch"]
    content: Side | None = None
    resized: bool = False

    @property
    def longest(self) -> int:
        """The most pixels that the longer side of a view gets."""
        return self.content or max(self.width, self.height)

    @model_validator(mode="after")
    def _contained(self) -> Self:
        if self.content is not None and (self.fit != "letterbox" or self.content > min(self.width, self.height)):
            raise ValueError("content belongs to fit letterbox and must not exceed the input")
        return self


class DynamicInput(PixelSpec):
    """A size that follows the picture, each side a multiple of ``multiple``.

    The longer side is brought down to ``max_side`` if it is longer, and up to ``min_side`` if it is shorter, but by no
    more than ``max_upscale``. ``pad`` fills up to the multiple on the right and below, ``stretch`` resizes to it.
    """

    kind: Literal["dynamic"]
    multiple: Annotated[int, Field(ge=1, le=256)] = 32
    max_side: Side
    min_side: Annotated[int, Field(ge=0, le=8192)] = 0
    max_upscale: Annotated[float, Field(ge=1, le=8)] = 1.0
    fit: Literal["pad", "stretch"] = "pad"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.min_side > self.max_side:
            raise ValueError("min_side must not exceed max_side")
        return self

    @property
    def longest(self) -> int:
        """The most pixels that the longer side of a view gets."""
        return self.max_side


InputSpec = Annotated[FixedInput | DynamicInput, Field(discriminator="kind")]


class ClassSpec(Frozen):
    """``threshold``: the native score that counts as the contract's default threshold (see calibration).

    ``labels``: which of the network's own labels, numbered from 0, are this class; for decoders that cannot know.
    """

    threshold: Annotated[float, Field(gt=0, lt=1)]
    labels: tuple[Annotated[int, Field(ge=0)], ...] = ()

    @field_validator("labels")
    @classmethod
    def _each_once(cls, labels: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(labels)) < len(labels):
            raise ValueError("a label is listed twice")
        return labels


class HeadSpec(Frozen):
    """How a labelled decoder's network is laid out: ``layout`` in its decoder's words, ``labels`` the count of them."""

    layout: str
    labels: Annotated[int, Field(ge=1)]


class ComponentSpec(NetworkSpec):
    """One detector: a network, how to feed it, how to read it, and what it finds.

    ``thorough``: a further look, taken only where a request lets us choose how to look (``format`` ``auto`` and
    ``pano``). ``inside``: look only into objects of this class, enlarged, in the same formats (see hints).
    """

    decoder: str
    head: HeadSpec | None = None
    input: InputSpec
    classes: Annotated[dict[ObjectClass, ClassSpec], Field(min_length=1)]
    thorough: bool = False
    inside: ObjectClass | None = None

    @field_validator("decoder")
    @classmethod
    def _known(cls, decoder: str) -> str:
        if decoder not in DECODERS and decoder not in LABELLED_DECODERS:
            known = ", ".join(sorted({*DECODERS, *LABELLED_DECODERS}))
            raise ValueError(f"unknown decoder {decoder!r}; one of {known}")
        return decoder

    @property
    def resizes(self) -> bool:
        """Whether the graph must take other sizes than the one it was exported with."""
        return isinstance(self.input, DynamicInput) or self.input.resized

    @property
    def always(self) -> bool:
        """Whether it looks at every picture, in every format."""
        return not self.thorough and self.inside is None

    @property
    def takes_tensors(self) -> bool:
        """Whether the decoder reads outputs where torch left them."""
        return (DECODERS.get(self.decoder) or LABELLED_DECODERS[self.decoder]).tensors

    def decode(self) -> Decode:
        """The decoder, told about its network."""
        if self.head is None:
            return DECODERS[self.decoder].decode
        labels = {name: found.labels for name, found in self.classes.items()}
        return LABELLED_DECODERS[self.decoder].bind(Head(self.head.layout, self.head.labels, labels))

    @model_validator(mode="after")
    def _findable(self) -> Self:
        decoder = DECODERS.get(self.decoder) or LABELLED_DECODERS[self.decoder]
        strange = set(self.classes) - decoder.finds
        if strange:
            raise ValueError(f"decoder {self.decoder} does not find {', '.join(sorted(strange))}")
        return self

    @model_validator(mode="after")
    def _outside(self) -> Self:
        if self.inside in self.classes:
            raise ValueError(f"a component that looks inside {self.inside} cannot be what finds {self.inside}")
        return self

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        decoder = LABELLED_DECODERS.get(self.decoder)
        if decoder is None:
            if self.head is not None or any(found.labels for found in self.classes.values()):
                raise ValueError(f"decoder {self.decoder} knows its labels; it takes neither head nor labels")
            return self
        if self.head is None:
            raise ValueError(f"decoder {self.decoder} needs head, with layout and labels")
        if self.head.layout not in decoder.layouts:
            raise ValueError(f"head.layout {self.head.layout!r} is none of {', '.join(sorted(decoder.layouts))}")
        for name, found in self.classes.items():
            if not found.labels:
                raise ValueError(f"classes.{name}.labels must say which labels are this class")
            if max(found.labels) >= self.head.labels:
                raise ValueError(
                    f"classes.{name}.labels {max(found.labels)} is not below head.labels {self.head.labels}"
                )
        named = [label for found in self.classes.values() for label in found.labels]
        if shared := {label for label in named if named.count(label) > 1}:
            raise ValueError(f"classes share the label {', '.join(map(str, sorted(shared)))}")
        return self
