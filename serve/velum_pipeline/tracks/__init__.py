"""Objects over time: the same one in neighbouring frames, and where it is in frames in which nobody found it."""

from velum_pipeline.tracks.cuts import MEMORY as CUT_MEMORY
from velum_pipeline.tracks.cuts import Cuts
from velum_pipeline.tracks.tracker import Anchors, Tracked, Tracker, weak, weak_thresholds

__all__ = ["CUT_MEMORY", "Anchors", "Cuts", "Tracked", "Tracker", "weak", "weak_thresholds"]
