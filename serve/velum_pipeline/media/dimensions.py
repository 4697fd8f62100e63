"""A picture's size as its header announces it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Dimensions:
    """Stored width and height in pixels, before orientation."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        """The number of pixels: what limits are about."""
        return self.width * self.height
