"""buildah as this machine has it: its storage in a folder of ours, and what pip needs to reach its index from inside.

Nothing of how a machine reaches an index may get into an image. So pip's settings and the authorities that it trusts
lie in a folder that is mounted while a build runs, and the Dockerfiles name it by an argument of a stage that is not
shipped. Proxies are buildah's own matter: it hands `http_proxy` and its like to every step and keeps none.
"""

import ast
import configparser
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from localplane.errors import BuildFailed, ToolsMissing

Say = Callable[[str], None]

PROGRAMS = ("buildah", "debootstrap")
MOUNTED = Path("/run/velum-build")
"""Where the folder with pip's settings lies while a step runs."""
AUTHORITIES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""What names the file of certificate authorities on a machine whose proxy signs for others; the first counts."""
LOCAL_ONLY = frozenset({"cert", "find-links", "cache-dir", "require-virtualenv", "target", "user", "log"})
"""Settings of pip that speak of this machine's own files."""

_HEARTBEAT_S = 30
_TAIL_LINES = 30


@dataclass(frozen=True)
class Builder:
    """buildah with images and layers in `folder`."""

    folder: Path
    say: Say

    @property
    def _argv(self) -> list[str]:
        return ["buildah", "--root", str(self.folder / "storage"), "--runroot", str(self.folder / "run")]

    def check(self) -> None:
        """Raise ToolsMissing, naming what to install, or that builds need root."""
        if os.geteuid() != 0:
            raise ToolsMissing("Images are built in a chroot, which only root may make: run this as root.")
        if lacking := [name for name in PROGRAMS if shutil.which(name) is None]:
            raise ToolsMissing(
                f"Images are built with {' and '.join(PROGRAMS)}; {', '.join(lacking)} is not here. "
                "Install with: apt-get install --no-install-recommends buildah debootstrap"
            )

    def run(self, *arguments: object) -> str:
        """Run a short command; its output. Raises BuildFailed."""
        ended = subprocess.run(
            [*self._argv, *map(str, arguments)], capture_output=True, text=True, check=False, env=self._environment()
        )
        if ended.returncode:
            raise BuildFailed(f"buildah {' '.join(map(str, arguments))}: {ended.stderr.strip()[-2000:]}")
        return ended.stdout.strip()

    def logged(self, name: str, *arguments: object) -> float:
        """Run a long command with its output in a log; its seconds. Raises BuildFailed with the log's tail."""
        return logged([*self._argv, *map(str, arguments)], self.folder / f"{name}.log", self.say, self._environment())

    def exists(self, reference: str) -> bool:
        """Whether there is an image of that name."""
        return reference in self.run("images", "--format", "{{.Name}}:{{.Tag}}").splitlines()

    @contextmanager
    def container(self, reference: str) -> Iterator[str]:
        """A container of that image, by its id; removed afterwards."""
        container = self.run("from", reference)
        try:
            yield container
        finally:
            self.run("rm", container)

    @contextmanager
    def nothing_left(self) -> Iterator[None]:
        """Within it builds may fail: the containers that they were in would keep their room for ever."""
        try:
            yield
        except BaseException:
            self.run("rm", "--all")
            raise

    @staticmethod
    def _environment() -> dict[str, str]:
        return {**os.environ, "BUILDAH_ISOLATION": "chroot"}


def logged(argv: Sequence[str], log: Path, say: Say, environment: Mapping[str, str] | None = None) -> float:
    """Run a command with its output in `log`, saying now and then that it still runs; its seconds.

    Raises BuildFailed with the log's tail.
    """
    begun = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdout=output, stderr=output, env=environment)
        try:
            while process.poll() is None:
                try:
                    process.wait(_HEARTBEAT_S)
                except subprocess.TimeoutExpired:
                    say(f"      still at it, {time.monotonic() - begun:.0f} s so far ({log})")
        finally:
            process.terminate()  # a no-op once it has ended; else (Ctrl-C) nothing goes on building
            process.wait()
    if process.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        raise BuildFailed(f"{argv[0]} ended with status {process.returncode}; {log} ends with:\n{tail}")
    return time.monotonic() - begun


@contextmanager
def pip_settings(environment: Mapping[str, str]) -> Iterator[list[str]]:
    """The flags of `buildah build` by which its steps reach the index that this machine's pip uses."""
    with TemporaryDirectory(prefix="velum-build-") as name:
        folder = Path(name)
        settings = pip_configuration(_told(), environment, folder)
        with (folder / "pip.conf").open("w") as file:
            settings.write(file)
        yield [
            f"--volume={folder}:{MOUNTED}:ro",
            f"--build-arg=PIP_CONFIG_FILE={MOUNTED / 'pip.conf'}",
        ]


def pip_configuration(told: str, environment: Mapping[str, str], folder: Path) -> configparser.RawConfigParser:
    """pip's settings as they count inside; files of authorities and of constraints are copied into `folder`.

    told: what `pip config list` says, lines of `section.name='value'`.
    """
    settings = configparser.RawConfigParser()
    settings.add_section("global")
    authorities = next((environment[each] for each in AUTHORITIES if environment.get(each)), "")
    for line in told.splitlines():
        place, _, value = line.partition("=")
        name = place.rpartition(".")[2]
        if not value:
            continue
        plain = str(ast.literal_eval(value))
        if name == "cert":
            authorities = plain
        elif name == "constraint" and Path(plain).is_file():
            settings.set("global", name, _brought(plain, folder, "constraints.txt"))
        elif name not in LOCAL_ONLY:
            settings.set("global", name, plain)
    if authorities and Path(authorities).is_file():
        settings.set("global", "cert", _brought(authorities, folder, "authorities.pem"))
    return settings


def _brought(file: str, folder: Path, name: str) -> str:
    shutil.copyfile(file, folder / name)
    return str(MOUNTED / name)


def _told() -> str:
    argv = [sys.executable, "-m", "pip", "config", "list"]
    ended = subprocess.run(argv, capture_output=True, text=True, check=False)
    return ended.stdout if ended.returncode == 0 else ""  # an interpreter without pip has no settings for it either
