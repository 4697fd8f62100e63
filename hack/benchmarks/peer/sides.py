"""The two sides: each turns files into anonymized files, its networks loaded before the clock starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from evaluation.subjects import Packs
from velum_pipeline import pipeline
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options, SaveMask

PEERS = Path(__file__).resolve().parents[2] / "peers"


class PeerFailed(RuntimeError):
    """The peer cannot be run; the text says why."""


class Ours:
    """Velum: a thread per core, a picture per thread, one thread per network. No masks: the peer makes none."""

    def __init__(self, packs: Packs) -> None:
        self._packs = packs
        self._pool = ThreadPoolExecutor(os.cpu_count() or 1)
        face = ObjectClass.FACE
        self._options = Options(Method.BLUR, {face: ClassOptions.default(face)}, save_mask=SaveMask.NONE)

    def turn(self, pictures: Sequence[Path], out: Path) -> float:
        """Anonymize all pictures into a folder. Returns the seconds it took."""
        started = time.perf_counter()
        list(
            self._pool.map(
                lambda item: self._anonymize(item[1], out / f"{item[0]}{item[1].suffix}"), enumerate(pictures)
            )
        )
        return time.perf_counter() - started

    def _anonymize(self, picture: Path, out: Path) -> None:
        product = pipeline.anonymize(picture.read_bytes(), picture.name, self._packs.detector.detect, self._options)
        if product.picture is None:
            raise RuntimeError(f"{picture}: no picture came out")
        out.write_bytes(product.picture)


class Theirs:
    """A peer as a process that answers jobs one by one. How many threads it runs is its own affair."""

    def __init__(self, name: str) -> None:
        """Start it, installed if need be. Raises PeerFailed."""
        self._name = name
        self._process = subprocess.Popen(
            [sys.executable, str(PEERS / f"{name}_anonymize.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def __enter__(self) -> Theirs:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait()

    def turn(self, pictures: Sequence[Path], out: Path) -> float:
        """Anonymize all pictures into a folder. Returns the seconds it took. Raises PeerFailed."""
        started = time.perf_counter()
        for number, picture in enumerate(pictures):
            problem = self.anonymize(picture, out / f"{number}{picture.suffix}")
            if problem:
                raise PeerFailed(f"{self._name} failed on {picture}: {problem}")
        return time.perf_counter() - started

    def anonymize(self, picture: Path, out: Path) -> str | None:
        """One picture. Returns why the peer could not do it, or None."""
        if self._process.stdin is None:
            raise PeerFailed(f"{self._name} has no input")
        self._process.stdin.write(json.dumps({"picture": str(picture), "out": str(out)}) + "\n")
        self._process.stdin.flush()
        problem = self._answer().get("error")
        return None if problem is None else str(problem)

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise PeerFailed(f"{self._name} ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer
