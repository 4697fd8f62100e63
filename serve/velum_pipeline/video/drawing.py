"""Boxes, outlines, scores and track numbers on redacted frames.

They are drawn as on pictures (`velum_pipeline.debug`), on a converted copy of the frame after redaction; only the
samples under the strokes are written back, so all others stay as they were.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline import debug
from velum_pipeline.detections import Detections
from velum_pipeline.media.kinds import PNG
from velum_pipeline.media.picture import Layout, Picture
from velum_pipeline.redact.floor import LUMA
from velum_pipeline.regions import Region
from velum_pipeline.video.colour import Coding
from velum_pipeline.video.description import Video
from velum_pipeline.video.planes import SUBSAMPLING, samples, upright
from velum_pipeline.video.reader import Decoded
from velum_pipeline.video.turns import stored


def draw_debug(
    decoded: Decoded,
    video: Video,
    detections: Detections,
    regions: Sequence[Region | None],
    tracks: Sequence[int] = (),
    *,
    scores: bool,
) -> None:
    """Draw boxes and region outlines, scores if asked, and track numbers if given, into a redacted frame, in place."""
    drawn = Picture(PNG, upright(decoded.frame, video), Layout.BGR)
    before = drawn.native.copy()
    debug.draw(drawn, detections, regions, scores=scores)
    for row, track in enumerate(tracks):
        _number(drawn.native, detections, row, track)
    touched = (drawn.native != before).any(axis=2).astype(np.uint8)
    rows, columns = np.nonzero(stored(touched, video.turn))
    colours = stored(drawn.native, video.turn)[rows, columns].astype(np.float32)
    _write(decoded, video, rows, columns, colours)


def _number(pixels: NDArray[np.uint8], detections: Detections, row: int, track: int) -> None:
    """A track's number under the upper edge of its box. By a stencil: what cv2 writes has soft edges."""
    stencil = np.zeros(pixels.shape[:2], np.uint8)
    stroke = max(1, min(stencil.shape) // debug.STROKES_PER_SIDE)
    left, top = (round(float(value)) for value in detections.boxes[row, :2])
    at = left + 2 * stroke, top + 14 * stroke
    cv2.putText(stencil, f"#{track}", at, cv2.FONT_HERSHEY_SIMPLEX, 0.45 * stroke, 255, stroke)
    pixels[stencil > 127] = debug.COLOURS[detections.classes[row]]


def _write(
    decoded: Decoded, video: Video, rows: NDArray[np.intp], columns: NDArray[np.intp], colours: NDArray[np.float32]
) -> None:
    """Write colours (N, 3) into the samples of these pixels."""
    decoded.frame.make_writable()
    planes, coding = samples(decoded.frame, video), Coding.of(video)
    if coding.grey:
        colours = colours @ LUMA[:, None]
    codes = np.rint(coding.codes(colours)).astype(planes[0].dtype)
    planes[0][rows, columns] = codes[:, 0]
    across, down = SUBSAMPLING[video.pixel_format]
    for plane, values in zip(planes[1:], codes.T[1:], strict=True):
        plane[rows >> int(down), columns >> int(across)] = values
