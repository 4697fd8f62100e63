"""What of boxes is written for one pair and for many: both mean the same."""

from __future__ import annotations

import numpy as np
import torch

from evaluation import matching
from training.detector.assign import overlaps
from training.labels import boxes
from training.labels.records import Box


def some(seed: int) -> list[Box]:
    """Boxes that meet or do not; the last is empty."""
    corners = np.random.default_rng(seed).integers(0, 20, (8, 2, 2)).astype(float)
    low, high = corners.min(1), corners.max(1) + 1
    found = [(float(a), float(b), float(c), float(d)) for (a, b), (c, d) in zip(low, high, strict=True)]
    return [*found, (5.0, 5.0, 5.0, 9.0)]


def test_labels_evaluation_and_training_overlap_alike() -> None:
    ones, others = some(0), some(1)
    pairs = np.array([[boxes.iou(one, other) for other in others] for one in ones])
    assert 0 < np.count_nonzero(pairs) < pairs.size
    np.testing.assert_allclose(matching.iou(np.array(ones), np.array(others)), pairs, rtol=1e-12)
    torch.testing.assert_close(
        overlaps(torch.tensor(ones), torch.tensor(others)), torch.tensor(pairs, dtype=torch.float32), atol=1e-6, rtol=0
    )
