"""A street scene that we drew ourselves: three painted passers-by whom a face detector takes for real.

`velum up` hides them as its self-check, and `make up` puts the picture into the input store so that the samples in
crds/ find something. Drawn rather than photographed, so that it can be shipped: nobody's face is in it.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_cli.scenery import Body, Car, Colour, darker, street

SUPERSAMPLING = 4
"""Faces are painted this much larger and shrunk, so that their edges are as soft as a lens makes them."""

SENSOR_NOISE = 3.0
"""Standard deviation in grey levels: without any, detectors trained on photographs trust a picture less."""


@dataclass(frozen=True)
class Face:
    """A painted head: centre and height of the face in pixels, colours in BGR."""

    x: int
    y: int
    size: int
    skin: Colour
    hair: Colour


FACES = (
    Face(190, 270, 60, (150, 180, 225), (30, 40, 60)),
    Face(480, 260, 40, (110, 140, 190), (20, 20, 25)),
    Face(680, 300, 80, (170, 195, 235), (60, 110, 170)),
)


JACKET: Colour = (120, 80, 40)
TROUSERS = ((70, 60, 55), (50, 45, 80), (95, 85, 70))
BODIES = tuple(
    Body(face.x, face.y, face.size, JACKET, trousers) for face, trousers in zip(FACES, TROUSERS, strict=True)
)
CARS = (Car(860, 430, 180, (60, 40, 170), "VE 2026"),)


def sample_picture() -> bytes:
    """Return the scene as a JPEG, 960x640, the same bytes every time."""
    picture = street(CARS, BODIES)
    for face in FACES:
        _paste(picture, *_painted(face), face)
    noise = np.random.default_rng(7).normal(0, SENSOR_NOISE, picture.shape)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    return bytes(cv2.imencode(".jpg", noisy, [cv2.IMWRITE_JPEG_QUALITY, 92])[1])


class _Canvas:
    """A square four face-halves wide on which shapes are given in halves of the face's height, centre (0, 0)."""

    def __init__(self, size: int) -> None:
        self.unit = size * SUPERSAMPLING / 2
        side = int(4 * self.unit)
        self.colour = np.zeros((side, side, 3), np.uint8)
        self.cover = np.zeros((side, side), np.uint8)

    def point(self, x: float, y: float) -> tuple[int, int]:
        return int((x + 2) * self.unit), int((y + 2) * self.unit)

    def ellipse(self, x: float, y: float, width: float, height: float, colour: Colour) -> None:
        axes = (max(1, int(width * self.unit)), max(1, int(height * self.unit)))
        cv2.ellipse(self.colour, self.point(x, y), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)
        cv2.ellipse(self.cover, self.point(x, y), axes, 0, 0, 360, 255, -1, cv2.LINE_AA)

    def brow(self, x: float, y: float, width: float, colour: Colour) -> None:
        axes = (int(width * self.unit), max(1, int(0.08 * self.unit)))
        thick = max(1, int(0.05 * self.unit))
        cv2.ellipse(self.colour, self.point(x, y), axes, 0, 180, 360, colour, thick, cv2.LINE_AA)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        cv2.rectangle(self.colour, self.point(left, top), self.point(right, bottom), colour, -1)
        cv2.rectangle(self.cover, self.point(left, top), self.point(right, bottom), 255, -1)


def _painted(face: Face) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the head's colours (S, S, 3) and how much of each pixel it covers (S, S, 1), 0..1."""
    canvas = _Canvas(face.size)
    shade = darker(face.skin, 0.8)
    canvas.ellipse(0, -0.15, 0.85, 1.05, face.hair)
    canvas.box(-0.3, 0.7, 0.3, 1.5, shade)
    canvas.ellipse(0, 2.1, 1.4, 0.8, JACKET)
    for side in (-1, 1):
        canvas.ellipse(0.75 * side, 0.05, 0.12, 0.22, shade)
    canvas.ellipse(0, 0.05, 0.74, 0.98, face.skin)
    canvas.ellipse(0, -0.62, 0.72, 0.42, face.hair)
    for side in (-1, 1):
        _eye(canvas, 0.3 * side, face.hair, shade)
    canvas.ellipse(0, 0.2, 0.1, 0.26, darker(face.skin, 0.93))
    canvas.ellipse(0, 0.33, 0.15, 0.07, shade)
    for side in (-1, 1):
        canvas.ellipse(0.07 * side, 0.35, 0.035, 0.025, (60, 70, 110))
    canvas.ellipse(0, 0.6, 0.26, 0.09, (90, 90, 190))
    canvas.ellipse(0, 0.585, 0.24, 0.02, (50, 50, 110))
    return _lit(canvas, 2 * face.size)


def _eye(canvas: _Canvas, x: float, hair: Colour, shade: Colour) -> None:
    canvas.ellipse(x, -0.08, 0.15, 0.08, (245, 245, 245))
    canvas.ellipse(x, -0.08, 0.07, 0.075, (60, 45, 30))
    canvas.ellipse(x, -0.08, 0.03, 0.03, (10, 10, 10))
    canvas.brow(x, -0.27, 0.19, hair)
    canvas.brow(x, -0.12, 0.16, shade)


def _lit(canvas: _Canvas, side: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return the canvas with light from the left, softened and shrunk to `side` pixels."""
    rows, columns = np.mgrid[-2 : 2 : canvas.colour.shape[0] * 1j, -2 : 2 : canvas.colour.shape[1] * 1j]
    light = 1.05 - 0.28 * np.clip(np.abs(columns + 0.15), 0, 1) ** 2 - 0.12 * np.clip(rows, -1, 1) ** 2
    lit = np.clip(canvas.colour * light[..., None], 0, 255).astype(np.uint8)
    soft = cv2.GaussianBlur(lit, (0, 0), SUPERSAMPLING * 0.6)
    colour = cv2.resize(soft, (side, side), interpolation=cv2.INTER_AREA)
    cover = cv2.resize(canvas.cover, (side, side), interpolation=cv2.INTER_AREA)
    return colour.astype(np.uint8), (cover[..., None] / 255).astype(np.float32)


def _paste(picture: NDArray[np.uint8], colour: NDArray[np.uint8], cover: NDArray[np.float32], face: Face) -> None:
    top, left = face.y - face.size, face.x - face.size
    area = picture[top : top + 2 * face.size, left : left + 2 * face.size]
    area[:] = (area * (1 - cover) + colour * cover).astype(np.uint8)
