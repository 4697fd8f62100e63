"""Images of one program: whole, honest about their digests, and the same every time."""

from __future__ import annotations

import gzip
import hashlib
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from localnode import archives


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF and more")
    file = tmp_path / "image.tar"
    archives.write(file, "localhost/velum/tried:1", {"/bin/tried": program}, ["/bin/tried", "--flag"])
    return file


def _blob(tar: tarfile.TarFile, descriptor: dict[str, Any]) -> bytes:
    algorithm, _, digest = descriptor["digest"].partition(":")
    member = tar.extractfile(f"blobs/{algorithm}/{digest}")
    assert member is not None
    content = member.read()
    assert hashlib.sha256(content).hexdigest() == digest
    assert len(content) == descriptor["size"]
    return content


def test_descriptors_lead_from_the_index_to_the_program(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
        assert json.load(tar.extractfile("oci-layout")) == {"imageLayoutVersion": "1.0.0"}  # type: ignore[arg-type]
        assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "localhost/velum/tried:1"
        manifest = json.loads(_blob(tar, index["manifests"][0]))
        config = json.loads(_blob(tar, manifest["config"]))
        layer = gzip.decompress(_blob(tar, manifest["layers"][0]))
    assert config["config"]["Entrypoint"] == ["/bin/tried", "--flag"]
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    unpacked = archive.with_name("layer.tar")
    unpacked.write_bytes(layer)
    with tarfile.open(unpacked) as tar:
        member = tar.getmember("bin/tried")
        assert member.mode == 0o755
        assert tar.extractfile(member).read() == b"\x7fELF and more"  # type: ignore[union-attr]


def test_the_same_program_gives_the_same_bytes(archive: Path) -> None:
    again = archive.with_name("again.tar")
    archives.write(
        again, "localhost/velum/tried:1", {"/bin/tried": archive.with_name("program")}, ["/bin/tried", "--flag"]
    )
    assert again.read_bytes() == archive.read_bytes()
