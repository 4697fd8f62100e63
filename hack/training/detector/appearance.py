"""Changes of a crop that leave its labels true: mirrored, other light and colour, blur, noise, other people's JPEG."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from training.detector.crops import Floats, Pixels, Sample

MIRROR, COLOUR, GREY, BLUR, NOISE, BLOCKS = 0.5, 0.7, 0.07, 0.12, 0.1, 0.15
"""How often each is done."""
HUE, SATURATION, LIGHT, OFFSET = 8, (0.4, 1.4), (0.5, 1.4), 15.0
QUALITY = (35, 80)
"""Of JPEG, the range in which blocks begin to show."""
MIRRORED_CORNERS = [2, 3, 0, 1, 6, 7, 4, 5]
"""Top left becomes top right, bottom right bottom left."""


def changed(sample: Sample, draw: np.random.Generator) -> Sample:
    """Another look of the same crop."""
    if draw.random() < MIRROR:
        sample = mirrored(sample)
    pixels = np.ascontiguousarray(sample.pixels)
    if draw.random() < COLOUR:
        pixels = _coloured(pixels, draw)
    if draw.random() < GREY:
        pixels = _as_pixels(cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR))
    if draw.random() < BLUR:
        pixels = _blurred(pixels, draw)
    if draw.random() < NOISE:
        noise = draw.normal(0, draw.uniform(2, 10), pixels.shape)
        pixels = (pixels + noise).clip(0, 255).astype(np.uint8)
    if draw.random() < BLOCKS:
        quality = int(draw.integers(*QUALITY))
        stored = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        pixels = _as_pixels(cv2.imdecode(stored, cv2.IMREAD_COLOR))
    return replace(sample, pixels=pixels)


def mirrored(sample: Sample) -> Sample:
    """Left and right exchanged, of the objects too."""
    width = sample.pixels.shape[1]
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = width - sample.boxes[:, [2, 0]]
    corners: Floats = sample.corners[:, MIRRORED_CORNERS].copy()
    corners[:, 0::2] = width - corners[:, 0::2]
    return replace(sample, pixels=np.ascontiguousarray(sample.pixels[:, ::-1]), boxes=boxes, corners=corners)


def _coloured(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    hsv = cv2.cvtColor(pixels, cv2.COLOR_BGR2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + draw.integers(-HUE, HUE + 1)) % 180
    hsv[..., 1] = np.clip(hsv[..., 1] * draw.uniform(*SATURATION), 0, 255)
    hsv[..., 2] = np.clip(hsv[..., 2] * draw.uniform(*LIGHT) + draw.uniform(-OFFSET, OFFSET), 0, 255)
    return _as_pixels(cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR))


def _blurred(pixels: Pixels, draw: np.random.Generator) -> Pixels:
    """Out of focus, or moved while the shutter was open."""
    if draw.random() < 0.5:
        return _as_pixels(cv2.GaussianBlur(pixels, (0, 0), float(draw.uniform(0.4, 1.2))))
    length = int(draw.integers(3, 6))
    kernel = np.eye(length, dtype=np.float32) if draw.random() < 0.3 else np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    return _as_pixels(cv2.filter2D(pixels, -1, kernel / kernel.sum()))


def _as_pixels(pixels: object) -> Pixels:
    return np.asarray(pixels, np.uint8)
