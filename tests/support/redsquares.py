"""A made street: red, finely patterned squares that move over a grey picture, and a detector that sees red.

The pattern tells whether a square shows: what hides it has nothing so fine. Red tells
the detector where it is, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from velum_pipeline.detections import Detections, as_classes
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options

WIDTH, HEIGHT = 192, 112
RATE = 25
FACE = ObjectClass.FACE
CONTRAST = 8.0
"""Grey levels between the pattern's light and dark fields from which a square shows; unhidden it is about 80."""
Pixels = NDArray[np.uint8]
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Square:
    """Moves at (dx, dy) a frame from (x, y), shown from frame ``first`` to before ``stop``."""

    x: float
    y: float
    dx: float
    dy: float
    side: int = 24
    first: int = 0
    stop: int = 1 << 30

    def box(self, frame: int) -> Box | None:
        """Its pixels in a frame, x1 y1 x2 y2; None where it is not wholly in the picture."""
        x, y = round(self.x + self.dx * frame), round(self.y + self.dy * frame)
        inside = 0 <= x <= WIDTH - self.side and 0 <= y <= HEIGHT - self.side
        return (x, y, x + self.side, y + self.side) if inside and self.first <= frame < self.stop else None


def drawn(squares: Sequence[Square], frame: int) -> Pixels:
    """One frame, BGR."""
    picture = np.empty((HEIGHT, WIDTH, 3), np.uint8)
    picture[...] = (90 + np.arange(WIDTH) // 4)[None, :, None]
    for square in squares:
        if (box := square.box(frame)) is not None:
            x1, y1, x2, y2 = box
            light = _checked(square.side)[..., None] == 1
            picture[y1:y2, x1:x2] = np.where(light, (60, 60, 255), (0, 0, 110)).astype(np.uint8)
    return picture


def made(path: Path, squares: Sequence[Square], frames: int, *, gop: int = 20) -> Path:
    """Write the frames as an mp4, a key frame every ``gop``."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "crf": "12"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size = gop
        stream.codec_context.time_base = Fraction(1, RATE)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(drawn(squares, number), "bgr24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def looking_for_red(pictures: Sequence[Pixels], _: Options) -> list[Detections]:
    """Every red square in each picture, as a face that is sure."""
    return [_red(picture) for picture in pictures]


def blind(frames: Callable[[int], bool], every: int = 1) -> Callable[[Sequence[Pixels], Options], list[Detections]]:
    """The same, but seeing nothing in some frames; it counts its pictures, so it must be shown them from frame 0."""
    shown = -every

    def detect(pictures: Sequence[Pixels], options: Options) -> list[Detections]:
        nonlocal shown
        answers = []
        for picture in pictures:
            shown += every
            answers += [Detections.empty()] if frames(shown) else looking_for_red([picture], options)
        return answers

    return detect


def faces(method: Method = Method.BLUR, **changes: object) -> Options:
    """Options that ask for faces."""
    return Options(method, {FACE: ClassOptions.default(FACE)}, **changes)  # type: ignore[arg-type]


def shows(picture: Pixels, box: Box) -> bool:
    """Whether what is in the box of a BGR picture has the square's pattern."""
    x1, y1, x2, y2 = box
    luma = cv2.cvtColor(picture[y1:y2, x1:x2], cv2.COLOR_BGR2GRAY).astype(np.float32)
    light = _checked(x2 - x1) == 1
    return abs(float(luma[light].mean() - luma[~light].mean())) > CONTRAST


def exposed(path: Path, squares: Sequence[Square]) -> list[tuple[int, int]]:
    """The (frame, square) pairs of a video that show a square."""
    with av.open(path) as container:
        found = []
        for frame in container.decode(video=0):
            number = round(frame.time * RATE)  # not its place: a frame that was broken is left out
            picture = frame.to_ndarray(format="bgr24")
            for row, square in enumerate(squares):
                if (box := square.box(number)) is not None and shows(picture, box):
                    found.append((number, row))
        return found


def _checked(side: int) -> NDArray[np.int64]:
    fields = np.arange(side) // 4
    return (fields[:, None] + fields) % 2


def _red(picture: Pixels) -> Detections:
    blue, _, red = cv2.split(picture)
    mask = (red.astype(np.int16) - blue > 60).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    boxes = [[x, y, x + w, y + h] for x, y, w, h, area in stats[1:count].tolist() if area > 60]
    return Detections(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.full(len(boxes), 0.9, np.float32),
        as_classes([FACE] * len(boxes)),
    )


def damaged(source: Path, target: Path, frames: Sequence[int]) -> Path:
    """The same file with noise in these frames' packets; of a file without B-frames."""
    data = bytearray(source.read_bytes())
    with av.open(source) as container:
        for number, packet in enumerate(container.demux(video=0)):
            if number in frames and packet.pos is not None:
                middle = packet.pos + packet.size // 2
                data[middle : packet.pos + packet.size] = bytes(packet.size - packet.size // 2)
    target.write_bytes(data)
    return target


def looped(source: Path, target: Path, times: int) -> Path:
    """The same packets over and over: a long video without making one."""
    with av.open(source) as given:
        stream = given.streams.video[0]
        packets = [(bytes(each), each.pts, each.dts, each.is_keyframe) for each in given.demux(stream) if each.size]
        with av.open(target, "w") as container:
            copy = container.add_stream_from_template(stream)
            step = stream.duration
            for round_ in range(times):
                for data, pts, dts, key in packets:
                    packet = av.Packet(data)
                    packet.stream, packet.time_base, packet.is_keyframe = copy, stream.time_base, key
                    packet.pts, packet.dts = pts + round_ * step, dts + round_ * step
                    container.mux(packet)
    return target
