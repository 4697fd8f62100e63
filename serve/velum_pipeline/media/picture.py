"""A decoded picture: its samples as the file had them, and what must go back into the file beside them.

``native`` keeps depth and channels, upright. ``pixels`` is the view for detectors. For the common case, 8-bit BGR, both
are the same array: nothing is copied, and redaction works in place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.media.kinds import MediaType

Samples: TypeAlias = NDArray[Any]
"""uint8 or uint16, (H, W) or (H, W, C)."""
BACKGROUND = 128
"""What detectors see behind what is not opaque: black and white cut-outs both stand out from it."""
HIDDEN = 64
"""Opacity, of 255, below which hardly anybody sees what colour a pixel has. The file says it all the same."""
FILLING = 16
"""Grey levels that hidden colours differ by at most where they are one filling; beyond it they can be a picture."""

HOT = 1e-3
"""Share of samples that may be brighter than white is for detectors.

Defective pixels of a sensor are fewer; a face that small is no larger than 45 x 45 pixels of 1920 x 1080.
"""
BAND_PIXELS = 2**22
"""Turned at once for detectors: what a large picture needs beside its own samples is one view of eight bits."""
SAMPLED = 1_000_000
"""Pixels that the brightness is taken from, evenly spread."""


class Layout(Enum):
    """What the channels of a native array mean."""

    GREY = 1
    BGR = 3
    BGRA = 4
    CMYK = -4
    """Four inks as Adobe stores them, inverted: 255 is no ink, so that 0 is black in every layout."""

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is opacity."""
        return self is Layout.BGRA


@dataclass(frozen=True)
class Metadata:
    """What travels beside the samples, already cleaned of everything that can hold original pixels.

    exif: a TIFF structure without the ``Exif\\0\\0`` prefix. icc: a profile. xmp: a packet. thumbnail: whether the file
    had one, so that a new one is made. extra: the format's own small facts (resolution, PNG colour chunks), private to
    its codec.
    """

    exif: bytes | None = None
    icc: bytes | None = None
    xmp: bytes | None = None
    thumbnail: bool = False
    extra: bytes | None = None


@dataclass(frozen=True)
class Encoding:
    """How the file was coded, as far as the output should be coded alike.

    bits: per sample in the file; the samples of 10 and 12 bits lie in the upper bits of 16. tile: side in pixels of the
    tiles of a HEIC, 0 where it is coded in one piece. orientation: EXIF's word for how a JPEG's samples are stored.
    """

    subsampling: str = "420"
    lossless: bool = False
    compressed: bool = True
    bits: int = 8
    tile: int = 0
    orientation: int = 1


@dataclass
class Picture:
    """One decoded picture, upright, of the given media type.

    ``native``: Samples in ``layout``; redaction writes into it. ``source``: the file itself, where its coded blocks are
    to be kept (splice/). ``exact``: whether it was decoded so that writing it changes nothing outside the regions.
    """

    media_type: MediaType
    native: Samples
    layout: Layout
    metadata: Metadata = field(default_factory=Metadata)
    encoding: Encoding = field(default_factory=Encoding)
    source: bytes | None = None
    exact: bool = False

    @property
    def height(self) -> int:
        """Rows of the displayed picture."""
        return int(self.native.shape[0])

    @property
    def width(self) -> int:
        """Columns of the displayed picture."""
        return int(self.native.shape[1])

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """BGR uint8 (H, W, 3) as displayed, for detectors; over mid-grey where it is not opaque.

        Where opacity hides a picture, as an editor's eraser leaves it, at half its contrast: whoever ignores opacity
        sees it in what we write, too. The native array itself where that is its form: read it before redaction.
        """
        if self.layout is Layout.BGR and self.native.dtype == np.uint8:
            return self.native
        colours = to_bgr8(self.native, self.layout)
        return over_grey(colours, self.native[..., 3], reveal=True) if self.layout.has_alpha else colours

    def forget_pixels(self) -> None:
        """Let the view for detectors go, once they have seen it: of a grey picture it is three times the samples."""
        self.__dict__.pop("pixels", None)


def to_bgr8(native: Samples, layout: Layout) -> NDArray[np.uint8]:
    """A BGR uint8 copy of an array in any layout, alpha left out.

    16-bit samples are shifted by as many bits as all but the brightest few have above eight, because cameras store 10
    to 14 bits in 16; the few are clipped.
    """
    shift = max(0, _bits_used(native[..., :3] if native.ndim == 3 else native) - 8) if native.dtype == np.uint16 else 0
    rows = max(1, BAND_PIXELS // max(1, native.shape[1]))
    if rows >= native.shape[0]:
        return _band_to_bgr8(native, layout, shift)
    shown = np.empty((*native.shape[:2], 3), np.uint8)
    for top in range(0, native.shape[0], rows):
        shown[top : top + rows] = _band_to_bgr8(native[top : top + rows], layout, shift)
    return shown


def _band_to_bgr8(native: Samples, layout: Layout, shift: int) -> NDArray[np.uint8]:
    if native.dtype == np.uint16:
        native = np.minimum(native >> shift, 255).astype(np.uint8)
    if layout is Layout.GREY:
        return np.asarray(cv2.cvtColor(native, cv2.COLOR_GRAY2BGR), np.uint8)
    if layout is Layout.CMYK:
        inks = native.astype(np.uint16)
        rgb = (inks[..., :3] * inks[..., 3:] + 127) // 255
        return np.ascontiguousarray(rgb[..., ::-1].astype(np.uint8))
    if layout is Layout.BGRA:
        return np.asarray(cv2.cvtColor(native, cv2.COLOR_BGRA2BGR), np.uint8)
    return np.asarray(native, np.uint8)


def _bits_used(colours: Samples) -> int:
    """How many bits the samples use, the brightest HOT share left out: a hot pixel says nothing about the scene."""
    step = max(1, round((colours.shape[0] * colours.shape[1] / SAMPLED) ** 0.5))
    seen = colours[::step, ::step]
    return int(np.quantile(seen, 1 - HOT, method="lower")).bit_length() if seen.size else 0


def over_grey(colours: NDArray[np.uint8], opacity: Samples, *, reveal: bool = False) -> NDArray[np.uint8]:
    """BGR pixels composited over BACKGROUND by their opacity (H, W), so that shapes made by opacity alone are seen.

    In place. reveal: let hidden pictures through, too; with half their contrast, so that shapes still stand out.
    """
    rows = max(1, BAND_PIXELS // max(1, colours.shape[1]))
    for top in range(0, colours.shape[0], rows):
        band, alpha = colours[top : top + rows], opacity[top : top + rows]
        alpha = (alpha >> 8).astype(np.uint8) if alpha.dtype == np.uint16 else alpha
        if alpha.min(initial=255) == 255:
            continue
        if reveal and _hides(band, alpha):
            alpha = 128 + (alpha >> 1)
        weight = np.asarray(cv2.merge([alpha] * 3))
        shown = cv2.multiply(band, weight, scale=1 / 255)
        cv2.add(shown, cv2.multiply(np.full_like(band, BACKGROUND), 255 - weight, scale=1 / 255), dst=band)
    return colours


def _hides(colours: NDArray[np.uint8], opacity: NDArray[np.uint8]) -> bool:
    """Whether BGR pixels that can hardly be seen are more than a filling."""
    hidden = colours[opacity < HIDDEN]
    return bool(hidden.size and np.ptp(hidden, axis=0).max() > FILLING)
