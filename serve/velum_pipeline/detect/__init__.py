"""Finding objects: ONNX networks, their decoders, tiling and merging. ``velum_pipeline.packs`` loads what runs here."""

from velum_pipeline.detect.component import Component
from velum_pipeline.detect.detector import Detector
from velum_pipeline.detect.errors import ClassNotFound, DetectError, DetectionFailed, ModelInvalid
from velum_pipeline.detect.session import Runtime
from velum_pipeline.detect.spec import ComponentSpec

__all__ = [
    "ClassNotFound",
    "Component",
    "ComponentSpec",
    "DetectError",
    "DetectionFailed",
    "Detector",
    "ModelInvalid",
    "Runtime",
]
