"""Images per second and recall of Velum and of a peer: `hack/bench images --peer deface`.

End to end: a file is read, anonymized and written. Loading networks is left out on both sides. Both are at their
defaults; only faces, since that is what the peer finds. The sides take turns over all files, so that a busy machine
slows all of them; what counts is the median turn. Recall is of the labelled faces at an overlap of 0.3.

* peer_ratio: Velum's images per second ÷ the peer's, with the detector that Velum would choose (`--pack`).
* same_weights_ratio: the same with the peer's own weights, input size and threshold in Velum.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from evaluation.command import weights_folders
from evaluation.matching import Tally
from evaluation.measure import LOOSE, Settings, measure
from evaluation.peers import parse_peer
from evaluation.sets import LabelledSet, find_sets
from evaluation.subjects import Subject, load_packs
from peer.sides import PEERS, Ours, PeerFailed, Theirs
from velum_pipeline.detect import Runtime
from velum_pipeline.options import ObjectClass, Tiling

SAME_WEIGHTS = Path(__file__).resolve().parent / "same_weights"
SETTINGS = Settings(tiling=Tiling(), classes=frozenset({ObjectClass.FACE}))
"""The contract's default format, one look at the whole picture."""
GOAL = 3.0


def compare(name: str, pack: str, data: Path, turns: int) -> dict[str, float]:
    """Measure and print. Returns the numbers by their names. Raises EvaluationError, PeerFailed and the pipeline's."""
    sets = [each for each in find_sets(data) if ObjectClass.FACE in each.classes]
    if not sets:
        raise PeerFailed(f"no set at or below {data} labels faces")
    folders = weights_folders([], data)
    ours, same = (load_packs(given, folders, Runtime(threads=1)) for given in (pack, str(SAME_WEIGHTS)))
    peer = parse_peer(f"{name}:face={sys.executable} {PEERS / name}_detect.py")
    recalls = {title: _recall(subject, sets) for title, subject in (("", ours), ("peer", peer), ("same", same))}
    with tempfile.TemporaryDirectory() as folder, Theirs(name) as theirs:
        out = Path(folder)
        pictures = _usable(theirs, [picture.path for each in sets for picture in each.pictures], out)
        sides = {"": Ours(ours).turn, "peer": theirs.turn, "same": Ours(same).turn}
        rates = {title: len(pictures) / seconds for title, seconds in _turns(sides, pictures, out, turns).items()}
    _table(name, pack, rates, recalls)
    return {
        "peer_ratio": round(rates[""] / rates["peer"], 4),
        "recall": round(recalls[""], 4),
        "peer_recall": round(recalls["peer"], 4),
        "images_per_s": round(rates[""], 3),
        "peer_images_per_s": round(rates["peer"], 3),
        "same_weights_ratio": round(rates["same"] / rates["peer"], 4),
        "same_weights_recall": round(recalls["same"], 4),
    }


def _recall(subject: Subject, sets: Sequence[LabelledSet]) -> float:
    """The share of all labelled faces that were found."""
    total = Tally()
    for labelled in sets:
        results, _ = measure(subject, labelled, SETTINGS)
        for result in results:
            total += result.tallies[LOOSE]
    return total.recall or 0.0


def _usable(theirs: Theirs, pictures: Sequence[Path], out: Path) -> list[Path]:
    """The pictures that the peer does not fail on; the others are named, and nobody's time counts them."""
    problems = {picture: theirs.anonymize(picture, out / f"0{picture.suffix}") for picture in pictures}
    for picture, problem in problems.items():
        if problem:
            print(f"left out: the peer fails on {picture.name}: {problem}", file=sys.stderr)
    usable = [picture for picture, problem in problems.items() if problem is None]
    if not usable:
        raise PeerFailed(f"the peer fails on every picture, first {pictures[0]}: {problems[pictures[0]]}")
    return usable


def _turns(
    sides: Mapping[str, Callable[[Sequence[Path], Path], float]], pictures: Sequence[Path], out: Path, turns: int
) -> dict[str, float]:
    """The median seconds of each side; a first turn of each loads code and memory and does not count."""
    seconds: dict[str, list[float]] = {title: [] for title in sides}
    for turn in range(turns + 1):
        for title, run in sides.items():
            spent = run(pictures, out)
            if turn:
                seconds[title].append(spent)
    return {title: statistics.median(spent) for title, spent in seconds.items()}


def _table(name: str, pack: str, rates: dict[str, float], recalls: dict[str, float]) -> None:
    print(f"{'end to end, faces':32} {'images/s':>9} {'ratio':>7} {'R@.3':>7}   goal >= {GOAL} at the peer's recall")
    for title, shown in (("", f"velum {pack}"), ("same", f"velum, {name}'s weights and input"), ("peer", name)):
        print(f"{shown[:32]:32} {rates[title]:9.1f} {rates[title] / rates['peer']:7.2f} {recalls[title]:7.3f}")
