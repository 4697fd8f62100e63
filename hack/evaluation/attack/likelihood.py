"""The attacker who knows the method: runs it on every original and takes the one that makes what it saw likeliest.

Noise is drawn anew for each copy and thrown away, so the attacker cannot repeat a redaction; but it can run one often
and learn what each original looks like on average and how copies scatter. Noise that is Gaussian after everything that
is not random, as the floor's is, makes this Bayes' rule, the best there is (but for values cut off at black and white).
What is not random at all, as in other tools, it finds exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.attack.faces import Faces, Pixels
from evaluation.attack.simple import means, squared_distances

Redaction = Callable[[Faces, np.random.Generator], Pixels]
"""Redacts every face of a sheet and returns the boxes as published: uint8 (N, HEIGHT, WIDTH, 3)."""
CELL = 8
"""Pixels; boxes are compared by cells of 8 x 8: finer than what a redaction shows, and few enough that SAMPLES tell how
they scatter."""
SAMPLES = 16
"""Runs per original. The scatter is learnt from all originals together: 300 x 16 samples of 8 x 10 x 3
numbers."""
ROUNDING = 0.1
"""Grey levels squared; variance that is left where nothing is random, of 8-bit rounding averaged over a cell."""


class Silent(np.random.Generator):
    """No noise: who has the source takes it out, and sees what a redaction shows of an original but for noise."""

    def __init__(self) -> None:
        super().__init__(np.random.PCG64(0))

    def standard_normal(self, size: Any = None, dtype: Any = np.float64, out: Any = None) -> Any:  # noqa: ARG002
        """Zeros."""
        return np.zeros(size or (), dtype)


@dataclass(frozen=True)
class Model:
    """What copies of N originals look like. expected: (N, D). whitening: (D, D), so that scatter has variance 1."""

    expected: NDArray[np.float64]
    whitening: NDArray[np.float64]

    def distances(self, shown: NDArray[np.float64]) -> NDArray[np.float64]:
        """Minus twice the log-likelihood of shown boxes (M, D) under each original, (M, N), but for a constant."""
        return squared_distances(shown @ self.whitening, self.expected @ self.whitening)


def learn(redact: Redaction, faces: Faces, random: np.random.Generator, samples: int = SAMPLES) -> Model:
    """Run the redaction on the originals, again and again."""
    runs = np.stack([look(redact(faces, random)) for _ in range(samples)])
    expected = runs.mean(axis=0)
    scatter = (runs - expected).reshape(-1, runs.shape[2])
    return Model(expected, whitening(scatter, len(expected) * max(1, samples - 1)))


def whitening(scatter: NDArray[np.float64], freedom: int, left: float = ROUNDING) -> NDArray[np.float64]:
    """What gives deviations (M, D), of so many degrees of freedom, the variance 1 in all directions: (D, D).

    left: variance that is in all of them besides, in grey levels squared.
    """
    covariance = scatter.T @ scatter / freedom + left * np.eye(scatter.shape[1])
    return np.linalg.cholesky(np.linalg.inv(covariance))


def look(crops: Pixels) -> NDArray[np.float64]:
    """What the attacker compares of boxes, (N, D)."""
    count, high, wide = crops.shape[:3]
    return means(crops, wide // CELL, high // CELL).reshape(count, -1).astype(np.float64)
