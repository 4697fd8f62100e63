"""How videos are encoded: codecs, their presets, and what ``quality`` means to each.

``quality`` is what the API calls so, 0..100. It becomes the codec's constant rate factor on a line through the points
below. 90, the default, is where a picture cannot be told from its source: with x264 at preset veryfast 42.7 dB PSNR on
720p street video at 1.03 times its size, 48 to 50 dB on 2560x1920 (docs/video.md has the table).

Up to the default quality the size is held as well: no more than CAP times the source's bit rate, for which the rate
factor may rise by GIVE and no further. A scene that needs more gets it. A video all of which needs more, because its
source was coded by a newer codec at a low rate, gets a rate factor of its own instead of a cap (see `trial`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType

from velum_pipeline.errors import OptionError, UnsupportedEncoder
from velum_pipeline.options import DEFAULT_QUALITY
from velum_pipeline.video.description import Video

Curve = tuple[tuple[int, float], ...]
X264_CURVE: Curve = ((0, 45.0), (50, 30.0), (75, 23.0), (90, 18.0), (100, 8.0))
X265_CURVE: Curve = ((0, 46.0), (50, 31.0), (75, 24.0), (90, 19.0), (100, 9.0))
SVT_CURVE: Curve = ((0, 63.0), (50, 44.0), (75, 32.0), (90, 22.0), (100, 8.0))
X26_PRESETS = (
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo",
)  # fmt: skip
NVENC_PRESETS = tuple(f"p{number}" for number in range(1, 8))
SVT_PRESETS = tuple(str(number) for number in range(14))
CAP = 1.35
"""Of the source's bit rate, on average over a second; with the half second's reserve that each segment begins with, one
of 4.5 seconds stays below the 1.5 that is promised."""
GIVE = 6.0
"""How far the rate factor may rise to keep below CAP: 24 of x264 still looks the same in motion (over 45 dB where 18
gives 48 dB); beyond that the picture would pay for the size."""
X265_QUIET = "log-level=error"
"""x265 writes to standard error itself, past FFmpeg."""
LEAST_RATE = 100_000
"""Bits per second that are always allowed: headers alone are that much of a tiny clip."""


@dataclass(frozen=True)
class Codec:
    """What an encoder is called and takes.

    encoder: FFmpeg's name. coded: FFmpeg's name of what it writes. formats: from pixel formats of frames to the
    encoder's own name of the same samples. curve: (quality, rate factor), rising in quality. setting: the option that
    takes the rate factor.
    """

    encoder: str
    coded: str
    presets: Sequence[str]
    formats: Mapping[str, str]
    curve: Curve
    setting: str = "crf"

    def rate_factor(self, quality: int) -> float:
        """The rate factor for a quality of 0..100, on the line between the curve's points."""
        for (below, start), (above, stop) in pairwise(self.curve):
            if quality <= above:
                return round(start + (stop - start) * (quality - below) / (above - below), 2)
        return self.curve[-1][1]


def _same(*formats: str) -> Mapping[str, str]:
    return MappingProxyType({name: name for name in formats})


_SUBSAMPLED = ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le")
_GRAY = ("gray", "gray10le")
_NVENC_8 = {"yuv420p": "yuv420p", "yuv444p": "yuv444p"}
CODECS: Mapping[str, Codec] = MappingProxyType(
    {
        "x264": Codec("libx264", "h264", X26_PRESETS, _same(*_SUBSAMPLED, *_GRAY), X264_CURVE),
        "x265": Codec("libx265", "hevc", X26_PRESETS, _same(*_SUBSAMPLED, *_GRAY), X265_CURVE),
        "svtav1": Codec("libsvtav1", "av1", SVT_PRESETS, _same("yuv420p", "yuv420p10le"), SVT_CURVE),
        "h264_nvenc": Codec("h264_nvenc", "h264", NVENC_PRESETS, MappingProxyType(_NVENC_8), X265_CURVE, "cq"),
        "hevc_nvenc": Codec(
            "hevc_nvenc",
            "hevc",
            NVENC_PRESETS,
            MappingProxyType(_NVENC_8 | {"yuv420p10le": "p010le"}),
            X265_CURVE,
            "cq",
        ),
    }
)


@dataclass(frozen=True)
class Encoding:
    """How videos are encoded. codec: a key of CODECS. preset: one of the codec's. quality: 0..100.

    factor: the rate factor that was found for the video by a trial, with which nothing else holds its size; None: as
    the quality says.

    Raises UnsupportedEncoder for an unknown codec or preset, OptionError for a quality out of range.
    """

    codec: str = "x264"
    preset: str = "veryfast"
    quality: int = DEFAULT_QUALITY
    factor: float | None = None

    def __post_init__(self) -> None:
        if self.codec not in CODECS:
            raise UnsupportedEncoder(f"video codec {self.codec!r} is not known; one of {', '.join(CODECS)}")
        presets = CODECS[self.codec].presets
        if self.preset not in presets:
            raise UnsupportedEncoder(
                f"video preset {self.preset!r} is none of {self.codec}'s; one of {', '.join(presets)}"
            )
        if isinstance(self.quality, bool) or not isinstance(self.quality, int) or not 0 <= self.quality <= 100:
            raise OptionError("quality", f"must be 0..100, got {self.quality!r}")

    @property
    def facts(self) -> Codec:
        """What is known of the codec."""
        return CODECS[self.codec]


def pixel_format(encoding: Encoding, video: Video) -> str:
    """The encoder's name of the video's samples. Raises UnsupportedEncoder where it cannot write them as they are."""
    formats = encoding.facts.formats
    if video.pixel_format not in formats:
        raise UnsupportedEncoder(
            f"video codec {encoding.codec} does not write {video.pixel_format}, only {', '.join(formats)}; "
            "x264 and x265 write all"
        )
    return formats[video.pixel_format]


def largest_rate(encoding: Encoding, video: Video) -> int | None:
    """Bits per second to stay below on average; None above the default quality, and with a rate factor of its own."""
    if encoding.factor is not None or encoding.quality > DEFAULT_QUALITY or not video.size or video.seconds <= 0:
        return None
    return max(int(CAP * 8 * video.size / video.seconds), LEAST_RATE)


def options(encoding: Encoding, video: Video, threads: int) -> dict[str, str]:
    """The encoder's options. threads: 0 for as many as there are cores.

    They do not depend on the segment, so that all segments get the same parameter sets.
    """
    facts = encoding.facts
    factor = facts.rate_factor(encoding.quality) if encoding.factor is None else encoding.factor
    wished = {"preset": encoding.preset, facts.setting: f"{factor:g}"}
    most = largest_rate(encoding, video)
    if most is not None and encoding.codec != "svtav1":  # its rate factor takes no bound on the rate in one pass
        wished |= {"maxrate": str(most), "bufsize": str(most)}
    return wished | _OWN[encoding.codec](video, factor if most is None else factor + GIVE, threads)


def trial_options(codec: str) -> dict[str, str]:
    """Options of an encoder that is only to be tried: it writes nothing but errors to standard error."""
    return {"x265-params": X265_QUIET} if codec == "x265" else {}


def _x264(video: Video, worst: float, _: int) -> dict[str, str]:
    parameters = ["vbv-init=0.5"]
    mastering, light = _mastering(video, _units(50_000), _units(10_000)), _light(video)
    parameters += [f"mastering-display={mastering}"] if mastering else []
    parameters += [f"cll={light}"] if light else []
    if _in_fields(video):  # frames say it themselves, but FFmpeg tells x264 of a change only from the next one on
        parameters += ["bff=1" if video.field_order == "bb" else "tff=1"]
    return {"crf_max": f"{worst:g}", "x264-params": ":".join(parameters)}


def _x265(video: Video, worst: float, threads: int) -> dict[str, str]:
    parameters = [X265_QUIET, "open-gop=0", "vbv-init=0.5", f"crf-max={worst:g}"]
    parameters += [f"pools={threads}"] if threads else []
    mastering, light = _mastering(video, _units(50_000), _units(10_000)), _light(video)
    parameters += [f"master-display={mastering}"] if mastering else []
    parameters += [f"max-cll={light}"] if light else []
    return {"x265-params": ":".join(parameters)}


def _svtav1(video: Video, _: float, threads: int) -> dict[str, str]:
    parameters = ["irefresh-type=2"]  # key frames: nothing after one needs anything before it
    parameters += [f"lp={threads}"] if threads else []
    mastering, light = _mastering(video, _decimal, _decimal), _light(video)
    parameters += [f"mastering-display={mastering}"] if mastering else []
    parameters += [f"content-light={light}"] if light else []
    return {"svtav1-params": ":".join(parameters)}


def _nvenc(_: Video, __: float, ___: int) -> dict[str, str]:
    return {"rc": "vbr", "forced-idr": "1", "tune": "hq"}


_OWN = {"x264": _x264, "x265": _x265, "svtav1": _svtav1, "h264_nvenc": _nvenc, "hevc_nvenc": _nvenc}


def interlaced(encoding: Encoding, video: Video) -> bool:
    """Whether fields are coded as such: by x264 alone, in 4:2:0 only where the lines are a multiple of four.

    Elsewhere interlaced pictures are coded as whole ones: the same samples, at more bits.
    """
    return encoding.codec == "x264" and _in_fields(video)


def _in_fields(video: Video) -> bool:
    lines = 4 if "420" in video.pixel_format else 2
    return video.field_order in ("tt", "bb") and video.height % lines == 0


Written = Callable[[Fraction], str]


def _units(each: int) -> Written:
    return lambda value: str(round(value * each))


def _decimal(value: Fraction) -> str:
    return f"{float(value):.5f}"


def _mastering(video: Video, chroma: Written, luminance: Written) -> str | None:
    """SMPTE ST 2086 as encoders take it: x264 and x265 in 1/50000 and 1/10000 cd/m², SVT-AV1 in decimals."""
    told = video.hdr.mastering if video.hdr else None
    if told is None:
        return None
    unknown = (Fraction(0), Fraction(0))
    points = {"G": told.green or unknown, "B": told.blue or unknown, "R": told.red or unknown}
    points["WP"] = told.white or unknown
    text = "".join(f"{name}({chroma(x)},{chroma(y)})" for name, (x, y) in points.items())
    brightest, darkest = told.brightest or Fraction(0), told.darkest or Fraction(0)
    return f"{text}L({luminance(brightest)},{luminance(darkest)})"


def _light(video: Video) -> str | None:
    light = video.hdr.light if video.hdr else None
    return f"{light.content},{light.average}" if light else None
