"""Native scores to the contract's scores, so that 0.5 means the same whichever network answered.

A pack's manifest names, per class, the native score *t* that was chosen on pictures as the working point. It maps to
the contract's default threshold *d* of the class (0.5 for faces and plates, 0.4 for persons and vehicles), the ends
stay where they are, and in between the log-odds move by a constant (Platt's scaling with a slope of 1):

    odds(contract(s)) = odds(s) * odds(d) / odds(t),   odds(p) = p / (1 - p)

It is monotonic, so it changes no ranking and no precision-recall curve: it only moves the labels on the axis. It makes
no probability out of a score; two points per class would not carry that. But unlike a line with a knee in it, it keeps
scores far above a low *t* apart from those at it, and what several looks see is fused by such scores.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from velum_pipeline.detections import Floats

SCORE_SLACK = 1e-6
"""float32 cannot say 0.4; a native score of exactly *t* must still reach *d* after the mapping."""


@dataclass(frozen=True)
class Calibration:
    """``native`` (t) and ``contract`` (d), both inside 0..1 without the ends."""

    native: float
    contract: float

    def __post_init__(self) -> None:
        for name, value in (("native", self.native), ("contract", self.contract)):
            if not 0 < value < 1:
                raise ValueError(f"{name} threshold must lie between 0 and 1, got {value}")

    def apply(self, scores: Floats) -> Floats:
        """Contract scores, float32 in 0..1, of native scores (any shape); what lies outside 0..1 is clipped first."""
        native = np.clip(np.asarray(scores, np.float64), 0, 1)
        return np.asarray(native * self._shift / (1 - native + native * self._shift), np.float32)

    def invert(self, score: float) -> float:
        """The native score that maps to a contract score in 0..1."""
        return score / (score + (1 - score) * self._shift)

    @property
    def _shift(self) -> float:
        """By which odds are multiplied."""
        return self.contract * (1 - self.native) / ((1 - self.contract) * self.native)
