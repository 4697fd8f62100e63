"""Masks: which pixels were anonymized, for which object, as PNG files."""

from velum_pipeline.masks.build import Canvas, instance_number
from velum_pipeline.masks.scale import rescale

__all__ = ["Canvas", "instance_number", "rescale"]
