"""A real `velum up` in a process of its own, as a user would start it."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue

import psutil

START_SECONDS = 150
"""Six times what it takes on two idle cores: other tests run beside it."""


@dataclass
class VelumUp:
    """One run of `velum up`. `folder` holds its data; `arguments` come after the ones every test needs."""

    folder: Path
    arguments: Sequence[str] = ()
    environment: dict[str, str] = field(default_factory=dict)
    url: str = ""
    ready_line: str = ""

    def __enter__(self) -> "VelumUp":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> str:
        return (self.folder / "velum.log").read_text()

    def spawn(self) -> None:
        """Start the process and return at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "velum_cli.main", "up", "--data", str(self.data), *self._port(), *self.arguments]
        with (self.folder / "velum.log").open("ab") as log:
            self.process = subprocess.Popen(
                argv,
                cwd=self.folder,
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self._lines: Queue[str] = Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _port(self) -> list[str]:
        return [] if "--port" in self.arguments else ["--port", "0"]

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put("")

    def start(self) -> None:
        """Start, and return when it says that it is ready."""
        self.spawn()
        while True:
            try:
                line = self._lines.get(timeout=START_SECONDS)
            except Empty:
                self.stop()
                raise AssertionError(f"velum up was not ready after {START_SECONDS} s:\n{self.log[-4000:]}") from None
            if not line:
                raise AssertionError(f"velum up ended with {self.process.wait(10)}:\n{self.log[-4000:]}")
            if found := re.search(r"Velum listens on (\S+)", line):
                self.url, self.ready_line = found[1], line.strip()
                return

    def tree(self) -> list[psutil.Process]:
        """Every process of this run."""
        root = psutil.Process(self.process.pid)
        return [root, *root.children(recursive=True)]

    def stop(self, sign: int = signal.SIGINT, seconds: float = 40) -> int:
        """End it with a signal and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sign)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            for each in self.tree():
                each.kill()
            raise AssertionError(f"velum up did not end within {seconds} s:\n{self.log[-4000:]}") from None
