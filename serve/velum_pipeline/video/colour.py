"""Between the codes of a video's samples and blue, green and red.

Luma and chroma are weighted sums of red, green and blue (ITU-T H.273, 8.3): which weights, and which codes are black
and white, a video says or leaves unspecified. Then, as players do, fewer than HD_LINES lines are taken for standard
definition (BT.601), others for high definition (BT.709), and the range for the limited one. Transfer functions stay
what they are: values of a video of high dynamic range are 0..255 along its own curve, which is what detectors see and
what the privacy floor rounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from velum_pipeline.video.description import Video
from velum_pipeline.video.formats import BT601, BT709, FULL, HD_LINES

Floats = NDArray[np.float32]

WEIGHTS = {
    BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    BT601: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
"""Weights of red and blue in luma by code point (H.273, table 4). Others (RGB, YCgCo, ICtCp) are taken for unspecified.
BT.2020's constant luminance, 10, is read as the other one, as FFmpeg does."""
WHITE = 255.0


@dataclass(frozen=True)
class Coding:
    """How a video's samples are to be read.

    matrix: a key of WEIGHTS. full: whether the range is full. bits: of a sample, 8 or 10. grey: whether luma is all
    there is.
    """

    matrix: int
    full: bool
    bits: int
    grey: bool

    @classmethod
    def of(cls, video: Video) -> Coding:
        """What the video says, or the convention where it says nothing."""
        convention = BT601 if video.height < HD_LINES else BT709
        matrix = video.colour.matrix if video.colour.matrix in WEIGHTS else convention
        return cls(matrix, video.colour.range == FULL, video.bits, video.pixel_format.startswith("gray"))

    @property
    def top(self) -> int:
        """The largest code there is."""
        return (1 << self.bits) - 1

    @property
    def black(self) -> float:
        """The code of no luma."""
        return 0.0 if self.full else 16.0 * (1 << self.bits - 8)

    @property
    def middle(self) -> float:
        """The code of no chroma."""
        return float(1 << self.bits - 1)

    @property
    def spans(self) -> tuple[float, float]:
        """Codes between black and white, and between the two ends of chroma."""
        scale = 1 << self.bits - 8
        return (float(self.top), float(self.top)) if self.full else (219.0 * scale, 224.0 * scale)

    @property
    def factors(self) -> tuple[float, float, float, float, float]:
        """Of luma in all colours; of Cb in blue, of Cb and of Cr in what green loses, of Cr in red. To 0..255."""
        red, blue = WEIGHTS[self.matrix]
        green = 1.0 - red - blue
        luma, chroma = (WHITE / span for span in self.spans)
        of_blue, of_red = 2.0 * (1.0 - blue), 2.0 * (1.0 - red)
        return luma, of_blue * chroma, of_blue * blue / green * chroma, of_red * red / green * chroma, of_red * chroma

    def colours(self, codes: Floats) -> Floats:
        """Codes (…, 3) as blue, green and red in 0..255, or (…, 1) of grey as brightness; float32, same shape."""
        luma, cb_blue, cb_green, cr_green, cr_red = self.factors
        light = (codes[..., 0] - self.black) * luma
        if self.grey:
            return _within(light, 0.0, WHITE)[..., None]
        cb, cr = codes[..., 1] - self.middle, codes[..., 2] - self.middle
        found = np.stack([light + cb_blue * cb, light - cb_green * cb - cr_green * cr, light + cr_red * cr], axis=-1)
        return _within(found, 0.0, WHITE)

    def codes(self, colours: Floats) -> Floats:
        """Blue, green and red (…, 3) in 0..255, or brightness (…, 1) of grey, as codes inside the range; float32."""
        luma, chroma = self.spans
        if self.grey:
            return _within(colours / WHITE * luma + self.black, self.black, self.black + luma)
        red, blue = WEIGHTS[self.matrix]
        shares = np.asarray(colours, np.float64) / WHITE
        light = blue * shares[..., 0] + (1.0 - red - blue) * shares[..., 1] + red * shares[..., 2]
        cb = (shares[..., 0] - light) / (2.0 * (1.0 - blue)) * chroma + self.middle
        cr = (shares[..., 2] - light) / (2.0 * (1.0 - red)) * chroma + self.middle
        least, most = max(self.middle - chroma / 2, 0.0), min(self.middle + chroma / 2, float(self.top))
        code = _within(light * luma + self.black, self.black, self.black + luma)
        return np.stack([code, _within(cb, least, most), _within(cr, least, most)], axis=-1)


def _within(values: NDArray[Any], least: float, most: float) -> Floats:
    return np.asarray(np.minimum(np.maximum(values, least), most), np.float32)
