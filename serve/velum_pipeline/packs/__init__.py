"""Model packs: manifests, where weights lie, how to get them, and how they become a Detector."""

from velum_pipeline.packs.errors import (
    FetchFailed,
    ManifestInvalid,
    PackError,
    PackNotFound,
    WeightsCorrupt,
    WeightsMissing,
)
from velum_pipeline.packs.fetch import fetch
from velum_pipeline.packs.manifest import PackManifest, parse_manifest, read_manifest
from velum_pipeline.packs.registry import PackRegistry, PackStatus

__all__ = [
    "FetchFailed",
    "ManifestInvalid",
    "PackError",
    "PackManifest",
    "PackNotFound",
    "PackRegistry",
    "PackStatus",
    "WeightsCorrupt",
    "WeightsMissing",
    "fetch",
    "parse_manifest",
    "read_manifest",
]
