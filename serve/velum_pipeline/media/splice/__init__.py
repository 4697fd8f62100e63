"""A JPEG changed where it was redacted and nowhere else (``lossless``): a splice of its DCT coefficients.

The file is read down to its quantised coefficients, the blocks that a region touches are made anew from the redacted
samples with the file's own tables, and all are written again. Every other block keeps each coefficient, so that any
decoder shows the same pixels there, and the next one to work on the file starts from the same data. The process
(baseline, extended, progressive), the quantisation tables, the sampling, the colours and the orientation stay; Huffman
codes are new and restart markers are gone, which no pixel depends on. Metadata are cleaned as always.

Why own code: no kept library gives coefficients to Python. Those of libjpeg's wrappers that do (jpeglib, jpegio) work
on files by path, hold global state, and lose the fourth component or have not been released in years.

What comes out is decoded again by libjpeg-turbo and compared (verify.py): a difference outside the touched blocks, or a
touched block that is not what redaction made, and there is no picture.
"""

from velum_pipeline.media.splice.blocks import Patch
from velum_pipeline.media.splice.encode import encode, keep

__all__ = ["Patch", "encode", "keep"]
