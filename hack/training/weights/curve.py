"""Precision and recall over all thresholds at once, and the threshold that reaches a precision."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from evaluation.matching import Boxes, match
from velum_pipeline.detect.calibration import SCORE_SLACK


@dataclass
class Curve:
    """The detections of one class in any number of pictures. ``objects``: how many there are to find."""

    objects: int = 0
    _scores: list[float] = field(default_factory=list)
    _right: list[bool] = field(default_factory=list)

    def add(self, boxes: Boxes, scores: Boxes, truth: Boxes, ignored: Boxes, overlap: float) -> None:
        """Count a picture: boxes (N, 4) with scores (N,), objects (M, 4), ignored ones (K, 4).

        Matching goes by falling score, so what holds of all detections holds of those above any threshold.
        """
        matches = match(boxes, scores, truth, ignored, overlap)
        counted = matches.right | matches.wrong
        self.objects += len(truth)
        self._scores += scores[counted].tolist()
        self._right += matches.right[counted].tolist()

    def threshold(self, precision: float) -> Working:
        """The least threshold that reaches the precision; where none does, the one of the best F1."""
        order = np.argsort(-np.array(self._scores), kind="stable")
        scores, right = np.array(self._scores)[order], np.array(self._right, bool)[order]
        if not len(scores) or not self.objects or not right.any():
            return Working(1.0, 0.0, 0.0)
        found = np.cumsum(right)
        reached, recall = found / np.arange(1, len(found) + 1), found / self.objects
        last = np.append(scores[1:] < scores[:-1], True)  # a threshold takes all detections of its score
        enough = np.flatnonzero((reached >= precision) & last)
        f1 = np.where(last, 2 * reached * recall / (reached + recall + 1e-12), 0)
        index = int(enough[-1]) if len(enough) else int(f1.argmax())
        return Working(float(scores[index]), float(recall[index]), float(reached[index]))

    def at(self, threshold: float) -> Working:
        """What a threshold reaches. Nothing found is no precision, 0."""
        above = np.array(self._scores) >= threshold - SCORE_SLACK
        right, counted = int((above & np.array(self._right, bool)).sum()), int(above.sum())
        return Working(threshold, right / max(1, self.objects), right / max(1, counted))


@dataclass(frozen=True)
class Working:
    """A working point: the threshold, and what it reaches."""

    threshold: float
    recall: float
    precision: float
