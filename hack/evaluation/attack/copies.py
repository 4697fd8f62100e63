"""The attacker who has several copies of each face: from re-runs, which hide the same box with other noise, or from a
burst, a panorama, another detector, whose boxes lie a little differently each time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.attack.faces import Faces, Pixels
from evaluation.attack.likelihood import SAMPLES, Model, learn, look
from evaluation.attack.ranks import rank1
from evaluation.attack.redactions import Velum

MOVE = 0.04
"""Standard deviation of what a box's sides are off by, as a share of the box: detectors agree to an IoU of 0.85."""
RUNS = 6
"""Runs per original and copy; over many copies, their errors average out as the noise does."""
CLEAR = 8
"""Pixels of the box's edge that are left out of both attacks (three times MOVE of its width): where a moved box falls
short of the labelled one, the gradient begins inside it, and what it shows is not the cells'."""


def same_place(redact: Velum, faces: Faces, count: int, random: np.random.Generator) -> float:
    """Rank-1 from the average of ``count`` copies of each face."""
    redact = replace(redact, margin=-CLEAR)
    model = learn(redact, faces, random, samples=max(2 * count, SAMPLES))
    shown = np.mean([look(redact(faces, random)) for _ in range(count)], axis=0)
    return rank1(model.distances(shown))


def moved(redact: Velum, faces: Faces, count: int, random: np.random.Generator) -> float:
    """Rank-1 from ``count`` copies whose boxes differ. The attacker knows the box of each and adds up likelihoods."""
    redact = replace(redact, margin=-CLEAR)
    whitening = learn(redact, faces, random).whitening
    total: NDArray[np.float64] = np.zeros((len(faces), len(faces)))
    for _ in range(count):
        boxes = _moved(faces.boxes, random)

        def run(boxes: NDArray[np.float32] = boxes) -> Pixels:
            return faces.crops(redact.sheet(faces, boxes, random), redact.margin)

        expected = np.mean([look(run()) for _ in range(RUNS)], axis=0)
        total += Model(expected, whitening).distances(look(run()))
    return rank1(total)


def _moved(boxes: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """The same shift of the sides for all faces, so that the place of a box tells nothing about whose it is."""
    side = np.array([*(boxes[0, 2:] - boxes[0, :2])] * 2, np.float32)
    return boxes + (random.standard_normal(4) * MOVE * side).astype(np.float32)
