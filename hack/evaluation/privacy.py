"""Attacks on the redaction of faces: how often does somebody who holds the originals know who was hidden?

  hack/evaluate privacy --json out.json
  hack/evaluate privacy --more --only blur pixelate
  hack/evaluate privacy --video

The gallery are the --faces largest labelled faces of the sets below DIR, scaled to one size, so that only what is shown
can give them away. Each is redacted at its labelled box, and each attacker names the original it takes for the right
one. rank-1 is the share of right answers, over DRAWS redactions of each face. The attackers see the box as published,
before any lossy coding:

  correlation   normalised correlation of what is shown with the original
  cells         distance between cell means, in colour; the best of five grids, from the whole box to 8 x 10
  network       a small embedding, trained on redacted and original faces that are not in the gallery
  likelihood    has read the source: runs the redaction on every original and takes the likeliest, by Bayes' rule

"deface blur" and "deface mosaic" are the control, deface's own code at its defaults on the same boxes: an attack that
fails there proves nothing here. --json FILE gets {method: rank-1 of the strongest attacker}, with "chance".

--video attacks what a video shows of each face over time instead: covers, each held for a while, of boxes that lie a
little differently, by their likelihood together. {row, count of covers: rank-1} goes to --json; there is no goal.

Exit status 0: the goals hold. 1: they do not, or the attack fails on the control. 2: it could not be run.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from environment import shared
from evaluation.attack import copies, embedding, likelihood, simple
from evaluation.attack.faces import Faces, Source, gallery, load, others
from evaluation.attack.film import MINUTE, Film
from evaluation.attack.likelihood import Redaction
from evaluation.attack.ranks import rank1, wilson
from evaluation.attack.redactions import Deface, Velum, more, ours
from evaluation.errors import EvaluationError, SetInvalid
from evaluation.sets import add_data
from velum_pipeline.options import Method

FACES = 300
DRAWS = 4
"""Redactions of each gallery face that the attackers see."""
TRAINED_ON, FEWEST = 800, 10
"""Faces the network learns from, at most and at least."""
SMALLEST = 16.0
"""Shorter side of a face to learn from, in pixels."""
COPIES = (1, 8, 64)
COVERS = (1, 8, MINUTE, 64)
GOAL = 0.25
"""Rank-1 that no method and no parameter may exceed."""
SHARE = 1 / 3
"""Of deface's rank-1, which the defaults may not exceed."""
CONTROL = 0.5
"""Rank-1 on deface below which the attack is taken for broken."""
CONTROLS = {"deface blur": "blur", "deface mosaic": "mosaic"}
ATTACKERS = ("correlation", "cells", "network", "likelihood")


@dataclass(frozen=True)
class Result:
    """Rank-1 of each attacker on one redaction."""

    name: str
    shares: Mapping[str, float]

    @property
    def strongest(self) -> float:
        """Rank-1 of the attacker that is right most often."""
        return max(self.shares.values())


def main(argv: Sequence[str]) -> int:
    """Run the attacks. Returns the exit status."""
    arguments = _parser().parse_args(argv)
    cv2.setNumThreads(1)
    try:
        if arguments.video:
            return _video(arguments)
        chosen = _chosen(arguments.only)
        largest, strangers = _sources(arguments)
        faces, training = load(largest), load(strangers)
        print(
            f"gallery: the {len(faces)} largest labelled faces, {largest[-1].side:.0f} to {largest[0].side:.0f} pixels;"
            f" network trained on {len(training)} others; chance {1 / len(faces):.2%}; seed {arguments.seed}\n"
        )
        results = list(_attacks(chosen, faces, training, arguments.seed))
        if arguments.more:
            _print_more(faces, arguments.seed)
    except (EvaluationError, OSError) as error:
        print(f"hack/evaluate privacy: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        shares = {result.name: round(result.strongest, 4) for result in results}
        arguments.json.write_text(json.dumps(shares | {"chance": round(1 / len(faces), 4)}, indent=2) + "\n")
    failures = missed(results, len(faces))
    print("\n" + ("\n".join(failures) if failures else "all goals hold"))
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    home = shared()
    train = home / "training" if home and (home / "training").is_dir() else None
    command = argparse.ArgumentParser(
        prog="hack/evaluate privacy", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = command.add_argument
    add_data(command)
    add("--train", type=Path, default=train, metavar="DIR", help=f"more faces to train on (default: {train})")
    add("--json", type=Path, metavar="FILE", help="write {method: rank-1} here")
    add("--faces", type=_count, default=FACES, metavar="N", help=f"size of the gallery (default: {FACES})")
    add("--seed", type=int, default=0, metavar="S", help="of all that is drawn (default: 0)")
    add("--only", nargs="+", action="extend", metavar="METHOD", help="only these rows, as the table names them")
    add("--more", action="store_true", help="also attack several copies, boxes with their gradients, and persons")
    add("--video", action="store_true", help="attack the covers of a video instead, over time")
    return command


def _count(text: str) -> int:
    value = int(text)
    if value < 2:
        raise argparse.ArgumentTypeError(f"must be 2 or more, got {value}")
    return value


def _chosen(only: Sequence[str] | None) -> dict[str, Redaction]:
    known: dict[str, Redaction] = {**{name: Deface(method) for name, method in CONTROLS.items()}, **ours()}
    if unknown := set(only or ()) - set(known):
        raise EvaluationError(f"--only: unknown {sorted(unknown)[0]!r}; one of {', '.join(known)}")
    return {name: redact for name, redact in known.items() if only is None or name in only}


def _sources(arguments: argparse.Namespace) -> tuple[list[Source], list[Source]]:
    """The gallery, the largest face first, and what the network is trained on. Raises SetInvalid."""
    largest, rest = gallery(arguments.data, arguments.faces)
    training = [source for source in rest if source.side >= SMALLEST]
    training += others(arguments.train, SMALLEST) if arguments.train else []
    if len(training) < FEWEST:
        raise SetInvalid(str(arguments.data), f"has {len(training)} faces besides the gallery to train on; try --train")
    order = np.random.default_rng(arguments.seed).permutation(len(training))[:TRAINED_ON]
    return largest, [training[index] for index in sorted(order)]


def _attacks(chosen: Mapping[str, Redaction], faces: Faces, strangers: Faces, seed: int) -> list[Result]:
    """Attack one redaction after the other, a line of the table for each."""
    print(f"{'rank-1 of':36}" + "".join(f"{name:>13}" for name in (*ATTACKERS, "strongest")) + "   95 % interval")
    results = []
    for name, redact in chosen.items():
        result = Result(name, attack(redact, faces, strangers, seed))
        low, high = wilson(result.strongest, len(faces))
        shares = (*result.shares.values(), result.strongest)
        print(f"{name:36}" + "".join(f"{share:13.1%}" for share in shares) + f"{low:10.1%} {high:.1%}", flush=True)
        results.append(result)
    return results


def attack(redact: Redaction, faces: Faces, strangers: Faces, seed: int) -> dict[str, float]:
    """Rank-1 of every attacker on one redaction, each over the same DRAWS of every face."""
    random = np.random.default_rng(seed)
    originals = faces.crops()
    network = embedding.train(redact, strangers, random)
    model = likelihood.learn(redact, faces, random)
    draws = [redact(faces, random) for _ in range(DRAWS)]
    cells = np.array([[rank1(each) for each in simple.by_cells(shown, originals)] for shown in draws])
    return {
        "correlation": float(np.mean([rank1(simple.correlation(shown, originals)) for shown in draws])),
        "cells": float(cells.mean(axis=0).max()),
        "network": float(np.mean([rank1(network.distances(shown, originals)) for shown in draws])),
        "likelihood": float(np.mean([rank1(model.distances(likelihood.look(shown))) for shown in draws])),
    }


def missed(results: Sequence[Result], count: int) -> list[str]:
    """A line for every goal that does not hold on a gallery of ``count`` faces.

    Rows that were not run are not judged.
    """
    shares = {result.name: result.strongest for result in results}
    control = {name: shares[name] for name in CONTROLS if name in shares}
    lines = [
        f"the attack is broken: it finds only {share:.1%} behind {name}"
        for name, share in control.items()
        if share < CONTROL
    ]
    most = min(control.values(), default=1.0) * SHARE
    for name, share in shares.items():
        if name in control:
            continue
        if name.startswith("blacken") and share > wilson(1 / count, count)[1]:
            lines.append(f"{name}: {share:.1%} is more than chance, {1 / count:.1%}")
        if share > GOAL:
            lines.append(f"{name}: {share:.1%} is more than {GOAL:.0%}")
        if name in ("blur", "pixelate") and share > most:
            lines.append(f"{name}: {share:.1%} is more than a third of deface's, {most:.1%}")
    return lines


def _print_more(faces: Faces, seed: int) -> None:
    """What the likelihood attacker gains from more than one box of one copy."""
    print(f"\n{'likelihood, with more to see':36}" + "".join(f"{f'{count} copies':>13}" for count in COPIES))
    ways = {"same box": copies.same_place, "moved boxes": copies.moved}
    for name in ("blur", "pixelate"):
        for way, measure in ways.items():
            found = [measure(ours()[name], faces, count, np.random.default_rng(seed)) for count in COPIES]
            print(f"{f'{name}, {way}':36}" + "".join(f"{share:13.1%}" for share in found), flush=True)
    for name, redact in more().items():
        print(f"{name:36}{_likelihood(redact, faces, np.random.default_rng(seed)):13.1%}", flush=True)


def _likelihood(redact: Redaction, faces: Faces, random: np.random.Generator) -> float:
    model = likelihood.learn(redact, faces, random)
    return float(np.mean([rank1(model.distances(likelihood.look(redact(faces, random)))) for _ in range(DRAWS)]))


def _video(arguments: argparse.Namespace) -> int:
    """Attack covers of every face, made anew again and again. Returns the exit status. Raises SetInvalid."""
    sources, _ = gallery(arguments.data, arguments.faces)
    faces, found = load(sources), dict[str, float]()
    print(f"gallery: {len(faces)} faces; chance {1 / len(faces):.2%}; seed {arguments.seed}\n")
    print(f"{'likelihood, over time':36}" + "".join(f"{f'{count} covers':>13}" for count in COVERS))
    rows: dict[str, Velum | Film] = {f"video, {method}": Film(method) for method in (Method.BLUR, Method.PIXELATE)}
    rows["as many pictures, blur"] = ours()["blur"]  # what it would be with the cells that a picture has
    for name, redact in rows.items():
        shares = copies.moved_so_far(redact, faces, COVERS, np.random.default_rng(arguments.seed))
        print(f"{name:36}" + "".join(f"{share:13.1%}" for share in shares), flush=True)
        found |= {f"{name}, {count}": round(share, 4) for count, share in zip(COVERS, shares, strict=True)}
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n")
    return 0
