"""`hack/train outlines`: train the head from box to mask. Every round after the first also learns from taught masks.

Writes WORK/outlines: a checkpoint and a file of taught masks for each round, `outlines.pt` (the last round's), and
`outlines.json` with the threshold and the dilation that the manifest is to have.
"""

from __future__ import annotations

import argparse
import math
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import torch

from training.detector.step import trunk_path
from training.detector.trunk import load_trunk
from training.errors import DataMissing
from training.flags import above_zero, whole
from training.labels.hand import IMAGES
from training.labels.sources import left_out
from training.outlines import choice, measure, teach
from training.outlines.network import Layout, OutlineNetwork, fingerprint, layout, load_network, taken
from training.outlines.sources import (
    BOXED,
    MASKED,
    Example,
    Source,
    empty_pictures,
    read_examples,
    read_rgb,
    read_sources,
    taught,
)
from training.outlines.trainer import NOBODY, Pool, Round, advance, restore, started
from training.outlines.windows import SIDE, Pixels

FOLDER = "outlines"
CHECKPOINT = "outlines.pt"
STEPS = (2400, 5000)
GROUND_SETS = {"indoor_bg": 1, "coco_tiny": 1, "plates_romania": 12}
"""Where backgrounds are from: every so many of their pictures without persons and vehicles."""
KINDS = {
    "persons of COCO": ("coco_tiny", "person"),
    "vehicles of COCO": ("coco_tiny", "vehicle"),
    "dressed persons": ("ccp_street", "person"),
}
ALONE, BESIDE_TAUGHT = (7, 5, 4), (5, 3, 2)
"""How many of a batch are of each kind. COCO's outlines are the best and show what streets show, so they come often."""
TAUGHT = {"person": 2, "vehicle": 4}
"""How many of a batch have taught masks, which count a little less."""
TAUGHT_WEIGHT = 0.7
ROUND_BEFORE = "the round before"
CHOSEN_ON = "coco_tiny"
"""Whose kept back masks the threshold is chosen on; the other set's persons all stand alone."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The step's own options."""
    parser.add_argument("--trunk", type=Path, help="PicoDet-S's weights, as for `hack/train detector`")
    parser.add_argument(
        "--steps", type=whole(1), nargs="+", default=STEPS, metavar="N", help="of each round (%(default)s)"
    )
    parser.add_argument(
        "--minutes", type=above_zero, default=math.inf, help="stop after so many; the same command goes on from there"
    )
    parser.add_argument(
        "--teacher", metavar="COMMAND", help="a program that gives masks for boxes; default: the round before"
    )


@dataclass
class Course:
    """What all rounds share. boxed: objects without a mask, read when first needed."""

    data: Path
    work: Path
    seed: int
    teacher: str | None
    unwanted: Mapping[str, Mapping[str, str]]
    masked: Sequence[Source]
    known: Sequence[Example]
    grounds: Sequence[Pixels]
    boxed: list[Example] = field(default_factory=list)

    def checkpoint(self, number: int) -> Path:
        """Of a round."""
        return self.work / f"round{number}.pt"


def run(arguments: argparse.Namespace) -> None:
    """Train to the last round's end, or as far as the minutes go. Raises TrainingError."""
    until = time.monotonic() + 60 * arguments.minutes
    torch.set_num_threads(arguments.threads)
    cv2.setNumThreads(1)
    course = prepared(arguments)
    convolutions = taken(load_trunk(trunk_path(arguments.trunk)))
    for number, steps in enumerate(arguments.steps, 1):
        torch.manual_seed(course.seed)
        network = OutlineNetwork(iter(convolutions), SIDE)
        if not trained(course, network, layout(convolutions), number, steps, until):
            print(f"stopped in round {number}; the same command goes on from here", flush=True)
            return
    shutil.copyfile(course.checkpoint(len(arguments.steps)), course.work / CHECKPOINT)
    finish(course)


def prepared(arguments: argparse.Namespace) -> Course:
    """Everything that is read before the first step."""
    work: Path = arguments.work / FOLDER
    work.mkdir(parents=True, exist_ok=True)
    unwanted = left_out()
    masked = read_sources(arguments.data, MASKED, unwanted)
    if not masked:
        raise DataMissing(f"{arguments.data} has no set with masks: {' or '.join(MASKED)}")
    known = read_examples(arguments.data, [source for source in masked if not source.validation])
    grounds = read_grounds(arguments.data, unwanted)
    return Course(arguments.data, work, arguments.seed, arguments.teacher, unwanted, masked, known, grounds)


def trained(
    course: Course, network: OutlineNetwork, shapes: Layout, number: int, steps: int, until: float
) -> bool:  # fmt: skip
    """Whether a round came to its end, now or before."""
    before = None
    if number > 1:
        before = load_network(course.checkpoint(number - 1))
        network.load_state_dict(before.state_dict())
    teacher = (course.teacher or ROUND_BEFORE) if before else NOBODY
    plan = Round(number, steps, (), course.grounds, course.seed, start=fingerprint(network), teacher=teacher)
    state, path = started(network, plan.rate), course.checkpoint(number)
    if path.exists():
        state = restore(state, plan, path)
    if state.step >= plan.steps:
        return True
    plan = replace(plan, pools=pools_of(course.known, lessons(course, number - 1, before) if before else ()))
    counted = ", ".join(f"{len(pool.examples)} {pool.name}" for pool in plan.pools)
    print(f"round {number}: {counted}; from step {state.step}", flush=True)
    return advance(state, plan, shapes, path, until)


def lessons(course: Course, number: int, before: OutlineNetwork) -> list[Example]:
    """The objects that have only a box, with the masks that the teacher or the round before gives them."""
    course.boxed = course.boxed or read_examples(course.data, read_sources(course.data, BOXED, course.unwanted))
    path = course.work / f"taught{'' if course.teacher else number}.jsonl"
    if course.teacher:
        sources = [one.source for one in course.boxed]
        if not path.exists():
            teach.ask(course.teacher, course.data, sources, path)
        return taught(course.boxed, teach.read_taught(path, course.teacher, sources))
    return taught(course.boxed, teach.masks_of(course.boxed, path, before))


def pools_of(known: Sequence[Example], extra: Sequence[Example] = ()) -> tuple[Pool, ...]:
    """What a batch is made of: masks that people drew of every kind and, where there are, taught ones."""
    pools = [
        Pool(name, [one for one in known if (one.source.set, one.source.cls) == kind], count)
        for (name, kind), count in zip(KINDS.items(), BESIDE_TAUGHT if extra else ALONE, strict=True)
    ]
    for cls, count in TAUGHT.items():
        pools.append(Pool(f"taught {cls}s", [one for one in extra if one.source.cls == cls], count, TAUGHT_WEIGHT))
    return tuple(pool for pool in pools if pool.examples)


def read_grounds(data: Path, unwanted: Mapping[str, Mapping[str, str]]) -> list[Pixels]:
    """Pictures that may lie behind an object: without a person or a vehicle, or of dusky streets."""
    found: list[Pixels] = []
    for name, share in GROUND_SETS.items():
        if not (data / name).is_dir():
            continue
        files = [file for file in empty_pictures(data, name) if file not in unwanted.get(name, {})]
        found += [read_rgb(data / name / IMAGES / file, name) for file in files[::share]]
    return found


def finish(course: Course) -> None:
    """Choose threshold and dilation on what was kept back, write them, and print what they reach."""
    network = load_network(course.work / CHECKPOINT)
    kept = [source for source in course.masked if source.validation and source.set == CHOSEN_ON]
    labelled = measure.labelled_sources(course.data, kept)
    chosen = choice.choose(network, labelled)
    rows = choice.tables(network, labelled, chosen)
    choice.write(course.work / choice.CHOICE, chosen, {"validation": rows})
    print(f"threshold {chosen.threshold}, dilation {chosen.grow} of the root of the area", flush=True)
    print("\n".join(choice.lines(rows)), flush=True)
