"""The whole detector in blocks."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from training.detector.blocked.backbone import Stage
from training.detector.blocked.boxes import Objects, Parts
from training.detector.blocked.convolutions import padded, picked
from training.detector.blocked.neck import Neck
from training.detector.blocked.tower import Pyramid
from training.detector.network import Detector, Found
from training.detector.tower import STEM_CHANNELS


class Blocked(nn.Module):
    """What a `Detector` computes. Its batch normalisations must be within its convolutions."""

    mean: Tensor

    def __init__(self, detector: Detector) -> None:
        """Shares what needs no change with the detector."""
        super().__init__()
        trunk, order = detector.trunk, padded(STEM_CHANNELS)
        self.register_buffer("mean", trunk.mean)
        self.stem = picked(trunk.stem.conv, order)
        stages = []
        for blocks in trunk.stages:
            stages.append(Stage(blocks, order))
            order = stages[-1].outward
        self.stages = nn.ModuleList(stages)
        orders = tuple(stage.outward for stage in stages)
        self.neck, self.tower = Neck(trunk, orders), Pyramid(detector.tower, orders)
        self.objects, self.parts = Objects(trunk), Parts(detector.tower)

    def forward(self, image: Tensor) -> Found:
        """As `Detector.forward`. Zeros of the stem stay zeros: hard swish and the maximum keep them."""
        stem = functional.max_pool2d(functional.hardswish(self.stem(image - self.mean)), 3, 2, 1)
        backbone: list[Tensor] = []
        for stage in self.stages:
            backbone.append(stage(backbone[-1] if backbone else stem))
        *neck, far = self.neck(tuple(backbone))
        features = self.tower(stem, tuple(backbone), tuple(neck))
        return Found(self.objects([*neck, far]), self.parts(features))
