"""What stands around the faces of the sample picture: houses, the passers-by's bodies, and a car with its number plate.

Everything is drawn in units of the thing itself, larger than it will be shown, so that edges come out as soft as a lens
makes them.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
Point = tuple[float, float]

WIDTH, HEIGHT = 960, 640
HORIZON = 352
FINE = 3
"""Everything is painted so much larger and shrunk."""

WALLS: tuple[Colour, ...] = ((120, 140, 180), (150, 160, 170), (110, 120, 140), (140, 150, 190))
SKY: Colour = (235, 206, 170)
ROAD: Colour = (90, 90, 92)
GLASS: Colour = (62, 52, 44)
TYRE: Colour = (24, 24, 26)
SHADOW: Colour = (58, 58, 60)


@dataclass(frozen=True)
class Body:
    """Whom a face belongs to: the face's centre and height in pixels, and the clothes, in BGR."""

    x: int
    y: int
    size: int
    jacket: Colour
    trousers: Colour


@dataclass(frozen=True)
class Car:
    """A car from the front: the middle of its bumper, its width, all in pixels, its paint, and what its plate says."""

    x: int
    y: int
    width: int
    paint: Colour
    plate: str


class _Brush:
    """Shapes in units of a thing: (0, 0) is its middle, 1 is `scale` pixels."""

    def __init__(self, canvas: NDArray[np.uint8], x: float, y: float, scale: float) -> None:
        self._canvas = canvas
        self._at = (x * FINE, y * FINE)
        self.scale = scale * FINE

    def place(self, x: float, y: float) -> tuple[int, int]:
        return round(self._at[0] + x * self.scale), round(self._at[1] + y * self.scale)

    def polygon(self, colour: Colour, *corners: Point) -> None:
        cv2.fillPoly(self._canvas, [np.array([self.place(*each) for each in corners], np.int32)], colour, cv2.LINE_AA)

    def mirrored(self, colour: Colour, *corners: Point) -> None:
        """Draw the polygon that these corners and their mirror images make."""
        self.polygon(colour, *corners, *((-x, y) for x, y in reversed(corners)))

    def ellipse(self, colour: Colour, x: float, y: float, width: float, height: float) -> None:
        axes = (max(1, round(width * self.scale)), max(1, round(height * self.scale)))
        cv2.ellipse(self._canvas, self.place(x, y), axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    def box(self, colour: Colour, left: float, top: float, right: float, bottom: float) -> None:
        cv2.rectangle(self._canvas, self.place(left, top), self.place(right, bottom), colour, -1)

    def text(self, colour: Colour, words: str, left: float, bottom: float, height: float) -> None:
        size = height * self.scale / 22  # the font's capitals are 22 pixels high at size 1
        thick = max(1, round(size * 2.2))
        cv2.putText(self._canvas, words, self.place(left, bottom), cv2.FONT_HERSHEY_SIMPLEX, size, colour, thick)


def street(cars: tuple[Car, ...], bodies: tuple[Body, ...]) -> NDArray[np.uint8]:
    """Return the scene without faces, (HEIGHT, WIDTH, 3) in BGR. Later ones stand in front."""
    canvas = np.empty((HEIGHT * FINE, WIDTH * FINE, 3), np.uint8)
    _houses(_Brush(canvas, 0, 0, 1))
    for car in cars:
        _car(_Brush(canvas, car.x, car.y, car.width / 2), car)
    for body in bodies:
        _body(_Brush(canvas, body.x, body.y, body.size), body)
    return np.asarray(cv2.resize(canvas, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)


def _houses(brush: _Brush) -> None:
    brush.box(SKY, 0, 0, WIDTH, HORIZON)
    brush.box(ROAD, 0, HORIZON, WIDTH, HEIGHT)
    for index, left in enumerate(range(0, WIDTH, 160)):
        top = 80 + 40 * (index % 3)
        brush.box(WALLS[index % len(WALLS)], left, top, left + 158, HORIZON)
        for y in range(top + 20, HORIZON - 30, 50):
            for x in range(left + 15, left + 140, 45):
                brush.box((70, 60, 50), x, y, x + 25, y + 30)


def _body(brush: _Brush, body: Body) -> None:
    """Draw shoulders to shoes; 1 is the height of the face, and a person is seven and a half of them."""
    dark = darker(body.trousers, 0.7)
    brush.ellipse(SHADOW, 0.3, 6.6, 1.4, 0.18)
    for side in (-1, 1):
        brush.polygon(
            body.trousers,
            (0.02 * side, 3.1),
            (0.72 * side, 3.1),
            (0.66 * side, 4.9),
            (0.58 * side, 6.45),
            (0.2 * side, 6.45),
        )
        brush.polygon(dark, (0.02 * side, 3.1), (0.2 * side, 3.1), (0.32 * side, 6.45), (0.2 * side, 6.45))
        brush.ellipse(TYRE, 0.44 * side, 6.5, 0.3, 0.14)
        brush.polygon(
            darker(body.jacket, 0.82),
            (0.8 * side, 1.0),
            (1.1 * side, 1.3),
            (1.22 * side, 2.6),
            (1.1 * side, 3.5),
            (0.86 * side, 3.5),
            (0.82 * side, 2.2),
        )
        brush.ellipse((120, 150, 200), 0.98 * side, 3.62, 0.15, 0.22)
    brush.mirrored(body.jacket, (0.34, 0.78), (0.95, 0.98), (0.86, 2.2), (0.8, 3.3))
    brush.polygon((225, 225, 222), (-0.2, 0.8), (0.2, 0.8), (0.02, 1.7), (-0.02, 1.7))
    brush.box(darker(body.jacket, 0.5), -0.02, 1.7, 0.02, 3.3)


def _car(brush: _Brush, car: Car) -> None:
    """Draw it from the front; 1 is half its width, 0 the height of its bumper's middle."""
    shade, light = darker(car.paint, 0.6), darker(car.paint, 1.25)
    brush.ellipse(SHADOW, 0, 0.42, 1.15, 0.1)
    for side in (-1, 1):
        brush.box(TYRE, 0.62 * side, 0, 0.92 * side, 0.42)
        brush.polygon(shade, (0.86 * side, -0.68), (1.08 * side, -0.72), (1.08 * side, -0.58), (0.88 * side, -0.56))
    brush.mirrored(shade, (0.6, -1.15), (0.68, -1.08), (0.88, -0.6), (0.97, -0.42))
    brush.mirrored(GLASS, (0.55, -1.08), (0.78, -0.6))
    brush.polygon((120, 112, 100), (-0.5, -1.05), (-0.2, -1.05), (-0.5, -0.62), (-0.7, -0.62))
    brush.mirrored(car.paint, (0.82, -0.6), (0.97, -0.42), (1.0, 0.1), (0.95, 0.28))
    brush.mirrored(light, (0.76, -0.58), (0.9, -0.4), (0.6, -0.3))
    brush.mirrored(TYRE, (0.46, -0.26), (0.4, -0.04))
    for row in (-0.2, -0.12):
        brush.box((150, 150, 150), -0.42, row, 0.42, row + 0.025)
    for side in (-1, 1):
        brush.ellipse((235, 240, 245), 0.72 * side, -0.18, 0.19, 0.11)
        brush.ellipse((170, 175, 180), 0.72 * side, -0.18, 0.1, 0.07)
    brush.mirrored(shade, (0.96, 0.14), (0.9, 0.3))
    brush.mirrored(TYRE, (0.5, 0.2), (0.45, 0.3))
    _plate(brush, car.plate)


def _plate(brush: _Brush, words: str) -> None:
    brush.box((30, 30, 30), -0.325, -0.025, 0.325, 0.135)
    brush.box((240, 240, 238), -0.31, -0.01, 0.31, 0.12)
    brush.box((150, 60, 20), -0.31, -0.01, -0.26, 0.12)
    brush.text((25, 25, 25), words, -0.24, 0.1, 0.085)


def darker(colour: Colour, factor: float) -> Colour:
    """Return the colour with this much of its light."""
    blue, green, red = (min(255, int(value * factor)) for value in colour)
    return blue, green, red
