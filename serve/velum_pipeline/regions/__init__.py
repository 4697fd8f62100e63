"""From detections to regions: which pixels are anonymized, and how strongly."""

from velum_pipeline.regions.build import build
from velum_pipeline.regions.region import Region

__all__ = ["Region", "build"]
