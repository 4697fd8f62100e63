"""Decoders by name: from a network's outputs to boxes. A manifest picks one with ``decoder = "..."``.

A decoder is a pure function of arrays: it knows one family of networks, its strides and the meaning of its outputs, and
nothing of pictures, files or thresholds' origin. It gets all outputs of one batch, the input's size in pixels and a
native score floor per wanted class, and answers per picture. What a network's labels mean is known to most decoders;
a manifest tells the others, with ``[components.head]``.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from velum_pipeline.detect.decoders.base import Decode, Decoded, Decoder, Floors, Head, LabelledDecoder, Outputs
from velum_pipeline.detect.decoders.centerface import CENTERFACE
from velum_pipeline.detect.decoders.picodet import PICODET
from velum_pipeline.detect.decoders.prototypemasks import PROTOTYPE_MASKS
from velum_pipeline.detect.decoders.street import STREET
from velum_pipeline.detect.decoders.yolov5face import YOLOV5FACE_PLATE
from velum_pipeline.detect.decoders.yunet import YUNET

DECODERS: Mapping[str, Decoder] = MappingProxyType(
    {decoder.name: decoder for decoder in (CENTERFACE, YUNET, YOLOV5FACE_PLATE, PICODET, STREET)}
)

"""The decoders that know what their network tells."""
LABELLED_DECODERS: Mapping[str, LabelledDecoder] = MappingProxyType({PROTOTYPE_MASKS.name: PROTOTYPE_MASKS})
"""The decoders that a manifest has to tell it."""

__all__ = [
    "DECODERS",
    "LABELLED_DECODERS",
    "Decode",
    "Decoded",
    "Decoder",
    "Floors",
    "Head",
    "LabelledDecoder",
    "Outputs",
]
