"""What is attacked: Velum at its defaults and with every parameter that could weaken it, and deface as it comes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from evaluation.attack.faces import Faces, Pixels
from evaluation.attack.likelihood import Redaction
from evaluation.errors import PeerFailed
from velum_pipeline import redact, regions
from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.media.kinds import PNG
from velum_pipeline.media.picture import Layout, Picture
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options

DEFACE = Path(__file__).resolve().parents[2] / "peers" / "deface_redact.py"
DEFAULT = ClassOptions.default(ObjectClass.FACE)


@dataclass(frozen=True)
class Velum:
    """Our redaction of faces whose boxes are known. margin: pixels about the box that the attacker sees
    too; below 0, pixels of its edge that are not looked at."""

    method: Method
    wish: ClassOptions = DEFAULT
    bbox: bool = False
    margin: int = 0

    def __call__(self, faces: Faces, random: np.random.Generator) -> Pixels:
        """The boxes as published."""
        return faces.crops(self.sheet(faces, faces.boxes, random), self.margin)

    def sheet(self, faces: Faces, boxes: NDArray[np.float32], random: np.random.Generator) -> Pixels:
        """The whole sheet as published, the detector having found these boxes (N, 4)."""
        return _redacted(faces, boxes, Options(self.method, {ObjectClass.FACE: self.wish}, bbox=self.bbox), random)


@dataclass(frozen=True)
class Portrait:
    """Our redaction of a person whose face is known, when only persons are asked for; the smallest kernel there is.

    wide, high: the person's box in boxes of the face, which lies in its middle, a fifth of a face below its top.
    """

    wide: float
    high: float
    method: Method = Method.BLUR

    def __call__(self, faces: Faces, random: np.random.Generator) -> Pixels:
        """The faces' boxes as published."""
        x1, y1, x2, y2 = faces.boxes.T
        width, height = x2 - x1, y2 - y1
        left, top = x1 - width * (self.wide - 1) / 2, y1 - height / 5
        boxes = np.stack([left, top, left + width * self.wide, top + height * self.high], axis=1)
        wish = {ObjectClass.PERSON: ClassOptions(threshold=0.4, kernel=1)}
        return faces.crops(_redacted(faces, boxes, Options(self.method, wish), random))


def _redacted(faces: Faces, boxes: NDArray[np.float32], options: Options, random: np.random.Generator) -> Pixels:
    """The sheet, redacted at these boxes (N, 4) as objects of the one class that the options ask for."""
    (object_class,) = options.classes
    found = Detections(boxes, np.ones(len(boxes), np.float32), as_classes([object_class] * len(boxes)))
    picture = Picture(PNG, faces.sheet.copy(), Layout.BGR)
    areas = [area for area in regions.build(found, options, picture.width, picture.height) if area is not None]
    redact.apply(picture, areas, options.method, random)
    return picture.native


def ours() -> dict[str, Velum]:
    """Velum's methods at the defaults, and with each parameter at the extremes that could show more."""
    found = {str(method): Velum(method) for method in (Method.BLUR, Method.PIXELATE, Method.BLACKEN)}
    wishes = {
        "kernel 0": replace(DEFAULT, kernel=0.0),
        "kernel 1": replace(DEFAULT, kernel=1.0),
        "gradient 0": replace(DEFAULT, gradient_start=0.0),
        "gradient 2 to 0": replace(DEFAULT, gradient_start=2.0),
        "kernel 0, gradient 0": replace(DEFAULT, kernel=0.0, gradient_start=0.0),
        "kernel 0, gradient 2 to 0": replace(DEFAULT, kernel=0.0, gradient_start=2.0),
        "kernel 0, gradient 2 to 2": replace(DEFAULT, kernel=0.0, gradient_start=2.0, gradient_stop=2.0),
    }
    for method in (Method.BLUR, Method.PIXELATE):
        found |= {f"{method} {name}": Velum(method, wish) for name, wish in wishes.items()}
        found[f"{method} bbox, kernel 0, gradient 0"] = Velum(method, wishes["kernel 0, gradient 0"], bbox=True)
    found["blacken gradient 2 to 0"] = Velum(Method.BLACKEN, wishes["gradient 2 to 0"])
    return found


def more() -> dict[str, Redaction]:
    """What no parameter of a face's redaction decides, but an attacker may have."""
    return {
        "blur, and 8 pixels of its gradient": Velum(Method.BLUR, margin=8),
        "blur of a person, 2.2 x 2.2 faces": Portrait(2.2, 2.2),
        "blur of a person, 2.2 x 3 faces": Portrait(2.2, 3),
    }


class Deface:
    """deface's own code on known boxes, in its own environment. It draws nothing at random: one run is enough."""

    def __init__(self, method: str) -> None:
        self.method = method
        self._done: dict[int, tuple[Faces, Pixels]] = {}

    def __call__(self, faces: Faces, random: np.random.Generator) -> Pixels:  # noqa: ARG002 - as any redaction
        """The boxes as published. Raises PeerFailed."""
        if id(faces) not in self._done:
            self._done[id(faces)] = faces, faces.crops(self._run(faces))
        return self._done[id(faces)][1]

    def _run(self, faces: Faces) -> Pixels:
        with tempfile.TemporaryDirectory() as folder:
            given, out = Path(folder, "in.png"), Path(folder, "out.png")
            cv2.imwrite(str(given), faces.sheet)
            job = {"picture": str(given), "boxes": faces.boxes.tolist(), "method": self.method, "out": str(out)}
            done = subprocess.run(
                [sys.executable, str(DEFACE)], input=json.dumps(job), capture_output=True, text=True, check=False
            )
            if done.returncode or not out.exists():
                raise PeerFailed("deface", (done.stderr.strip() or "it said nothing").splitlines()[-1])
            return np.asarray(cv2.imread(str(out), cv2.IMREAD_COLOR), np.uint8)
