"""Masks for objects that have only a box: by the network of the round before, or by any other program.

A program that teaches is run once, with the path of a file as its last argument, and answers on its standard output
with the lines of ``lessons`` but the first, for no object that it was not asked for. The file has a line for each:

    {"object": KEY, "picture": PATH, "bbox": [x1, y1, x2, y2]}
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evaluation.outlines import jittered
from training.errors import TeacherInvalid
from training.labels.boxes import iou
from training.labels.hand import IMAGES
from training.outlines import lessons
from training.outlines.lessons import Lesson
from training.outlines.masks import box_of, encoded
from training.outlines.measure import logits
from training.outlines.network import OutlineNetwork, fingerprint
from training.outlines.sources import Example, Source
from training.outlines.windows import Box, cut, pasted

LOW, HIGH = 0.35, 0.65
"""Between these means of several looks a pixel is in doubt."""
LOOKS = 3
"""Of the box as it is and moved a little, each with its mirror image."""
MOVED = 0.03
LEAST_FILLED = 0.75
"""IoU of a mask's own box with the labelled one: what is labelled touches all four sides."""
MOST_DOUBT = 0.25
"""Of the box's pixels."""
LOOSE = 0.04
"""Of the box's size: so far outside people's boxes an object may still go."""
AT_ONCE = 32

Taught = Mapping[str, Lesson]


def masks_of(examples: Sequence[Example], path: Path, network: OutlineNetwork) -> Taught:
    """The masks in a file, which the network goes on with where it was broken off: key to (object, doubt).

    Raises TeacherInvalid when another network, or a program, began it.
    """
    teacher = f"network {fingerprint(network)}"
    _mended(path, teacher)
    sources = [one.source for one in examples]
    known = {key for key, _ in lessons.read(path, teacher, sources)}
    wanted = [one for one in examples if one.source.key not in known]
    with path.open("a") as lines:
        for start in range(0, len(wanted), AT_ONCE):
            part = wanted[start : start + AT_ONCE]
            for example, line in zip(part, _looked(part, network), strict=True):
                lines.write(json.dumps({"object": example.source.key} | line, separators=(",", ":")) + "\n")
            lines.flush()
            if start % (20 * AT_ONCE) == 0:
                print(f"taught {start + len(part)}/{len(wanted)}", flush=True)
    return read_taught(path, teacher, sources)


def _mended(path: Path, teacher: str) -> None:
    """Take away a line that was cut off, and begin the file where there is none."""
    whole = path.read_bytes() if path.exists() else b""
    kept = whole[: whole.rfind(b"\n") + 1]
    if not kept:
        lessons.begin(path, teacher)
    elif kept != whole:
        path.write_bytes(kept)


def _looked(examples: Sequence[Example], network: OutlineNetwork) -> Iterator[dict[str, Any]]:
    """The line of each example, empty where the mask is refused."""
    total = [np.zeros((one.source.height, one.source.width), np.float32) for one in examples]
    for look in range(LOOKS):
        boxes = [_moved(one.source, look) for one in examples]
        crops = [cut(one.pixels, one.kept(box), network.side) for one, box in zip(examples, boxes, strict=True)]
        for index, said in enumerate(logits(network, crops, mirrored=True)):
            height, width = total[index].shape
            total[index] += pasted((1 / (1 + np.exp(-said))).astype(np.float32), boxes[index], width, height) / LOOKS
    for example, chance in zip(examples, total, strict=True):
        yield verdict(chance, example.source.box)


def _moved(source: Source, look: int) -> Box:
    """Its box as this look sees it, the same whichever objects are looked at together."""
    return source.box if look == 0 else jittered([source.box], MOVED, (look, zlib.crc32(source.key.encode())))[0]


def verdict(chance: NDArray[np.float32], box: Box) -> dict[str, Any]:
    """Run lengths of what is believed of a chance 0..1 per pixel (H, W); empty where nothing is."""
    height, width = chance.shape
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    across, down = LOOSE * (box[2] - box[0]), LOOSE * (box[3] - box[1])
    near = (columns > box[0] - across) & (columns < box[2] + across) & (rows > box[1] - down) & (rows < box[3] + down)
    inside = (columns > box[0]) & (columns < box[2]) & (rows > box[1]) & (rows < box[3])
    mask = (chance >= 0.5) & near
    doubt = (chance > LOW) & (chance < HIGH) & near
    own = box_of(mask.astype(np.uint8) * np.uint8(255))
    if own is None or iou(own, box) < LEAST_FILLED or (doubt & inside).sum() > MOST_DOUBT * inside.sum():
        return {}
    return encoded(mask) | {"doubt": encoded(doubt)["counts"]}


def read_taught(path: Path, teacher: str, sources: Iterable[Source]) -> Taught:
    """What a file teaches of these objects. Raises TeacherInvalid naming the line, or another teacher."""
    return {key: lesson for key, lesson in lessons.read(path, teacher, sources) if lesson}


def ask(command: str, data: Path, sources: Sequence[Source], path: Path) -> None:
    """Have a program teach these objects, and keep its answer in a file if it is one. Raises TeacherInvalid."""
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as request:
        for source in sources:
            picture = str((data / source.set / IMAGES / source.file).absolute())
            request.write(json.dumps({"object": source.key, "picture": picture, "bbox": source.box}) + "\n")
        request.flush()
        try:
            done = subprocess.run([*shlex.split(command), request.name], stdout=subprocess.PIPE, check=False)
        except (OSError, ValueError) as error:
            raise TeacherInvalid(path, f"{command!r} cannot be run: {error}") from error
    if done.returncode != 0:
        raise TeacherInvalid(path, f"{command!r} ended with {done.returncode}")
    asked = {source.key for source in sources}
    answered = lessons.parsed(done.stdout.splitlines(), sources, path)
    for number, (key, _) in enumerate(answered, 1):
        if key not in asked:
            raise TeacherInvalid(path, f"line {number}: {key!r} was not asked for")
    lessons.begin(path, command, b"".join(line + b"\n" for line in done.stdout.splitlines()))
