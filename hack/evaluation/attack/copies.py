"""The attacker who has several copies of each face: from re-runs, which hide the same box with other noise, or from a
burst, a panorama, another detector, whose boxes lie a little differently each time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from evaluation.attack.faces import Faces
from evaluation.attack.film import Film
from evaluation.attack.likelihood import SAMPLES, Model, Silent, learn, look, whitening
from evaluation.attack.ranks import rank1
from evaluation.attack.redactions import Velum

MOVE = 0.04
"""Standard deviation of what a box's sides are off by, as a share of the box: detectors agree to an IoU of 0.85."""
CLEAR = 8
"""Pixels of the box's edge that are left out of both attacks (three times MOVE of its width): where a moved box falls
short of the labelled one, the gradient begins inside it, and what it shows is not the cells'."""

FLAT = 2.0
"""Grey levels squared; variance of rounding where it does not average out, because what is shown is flat: brightness to
whole codes of a limited range, chroma to codes that are 2.1 grey levels apart."""


def same_place(redact: Velum, faces: Faces, count: int, random: np.random.Generator) -> float:
    """Rank-1 from the average of ``count`` copies of each face."""
    redact = replace(redact, margin=-CLEAR)
    model = learn(redact, faces, random, samples=max(2 * count, SAMPLES))
    shown = np.mean([look(redact(faces, random)) for _ in range(count)], axis=0)
    return rank1(model.distances(shown))


def moved(redact: Velum, faces: Faces, count: int, random: np.random.Generator) -> float:
    """Rank-1 from ``count`` copies whose boxes differ. The attacker knows the box of each and adds up likelihoods."""
    return moved_so_far(redact, faces, (count,), random)[0]


def moved_so_far(redact: Velum | Film, faces: Faces, counts: Sequence[int], random: np.random.Generator) -> list[float]:
    """The same after each of ``counts`` copies, rising, of one row of copies."""
    redact, found = replace(redact, margin=-CLEAR), []
    # Learnt where boxes move: noise has another pattern in each place, and what is unknown to scatter counts most.
    tried = np.concatenate([np.subtract(*_copy(redact, faces, random)) for _ in range(SAMPLES)])
    cut_off = tried.mean(axis=0)  # by black and white
    white = whitening(tried - cut_off, len(tried), FLAT)
    total: NDArray[np.float64] = np.zeros((len(faces), len(faces)))
    for copy in range(1, counts[-1] + 1):
        shown, expected = _copy(redact, faces, random)
        total += Model(expected, white).distances(shown - cut_off)
        if copy in counts:
            found.append(rank1(total))
    return found


def _copy(
    redact: Velum | Film, faces: Faces, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What is seen of a copy of every face, and what of that is no noise, both (N, D)."""
    boxes = _moved(faces.boxes, random)
    shown, expected = (
        look(faces.crops(redact.sheet(faces, boxes, each), redact.margin)) for each in (random, Silent())
    )
    return shown, expected


def _moved(boxes: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """The same shift of the sides for all faces, so that the place of a box tells nothing about whose it is."""
    side = np.array([*(boxes[0, 2:] - boxes[0, :2])] * 2, np.float32)
    return boxes + (random.standard_normal(4) * MOVE * side).astype(np.float32)
