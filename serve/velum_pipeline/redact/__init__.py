"""Destroying what regions show: blur, pixelate, blacken, never below the privacy floor."""

from velum_pipeline.redact.apply import apply

__all__ = ["apply"]
