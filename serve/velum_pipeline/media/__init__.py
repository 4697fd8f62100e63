"""Files in, pictures out, and back.

What a file is, how large, whether it is whole, and its samples with cleaned metadata.
"""

from velum_pipeline.media.decode import TAIL_BYTES, decode, encode, probe, reencode, truncation
from velum_pipeline.media.dimensions import Dimensions
from velum_pipeline.media.kinds import SNIFF_BYTES, MediaType, sniff
from velum_pipeline.media.location import drop_location
from velum_pipeline.media.lossless import obstacle
from velum_pipeline.media.picture import Encoding, Layout, Metadata, Picture, to_bgr8
from velum_pipeline.media.splice import Patch

__all__ = [
    "SNIFF_BYTES",
    "TAIL_BYTES",
    "Dimensions",
    "Encoding",
    "Layout",
    "MediaType",
    "Metadata",
    "Patch",
    "Picture",
    "decode",
    "drop_location",
    "encode",
    "obstacle",
    "probe",
    "reencode",
    "sniff",
    "to_bgr8",
    "truncation",
]
