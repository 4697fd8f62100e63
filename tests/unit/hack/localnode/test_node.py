"""The local cluster's files, and what `down` does where no cluster of ours is."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
from ipaddress import ip_address
from pathlib import Path

import pytest

from localnode import addons, addresses, configuration, credentials, leftovers, programs
from localnode.node import Node
from localplane.errors import StateInvalid


def _node(folder: Path) -> Node:
    return Node(folder, os.environ, lambda _line: None)


def test_down_leaves_a_folder_that_is_not_a_clusters(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(StateInvalid, match="stays untouched"):
        _node(tmp_path).down()
    assert (tmp_path / "thesis.txt").exists()


def test_down_of_nothing_is_nothing(tmp_path: Path) -> None:
    assert _node(tmp_path / "absent").down() is False
    assert not _node(tmp_path / "absent").is_ready()


def test_a_record_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text('{"kind": "something-else"}')
    with pytest.raises(StateInvalid, match=r"cluster\.json"):
        _node(tmp_path).down()


def test_containerd_keeps_everything_in_the_folder(tmp_path: Path) -> None:
    document = tomllib.loads(configuration.containerd(configuration.Layout(tmp_path), tmp_path / "programs"))
    runtime = document["plugins"]["io.containerd.cri.v1.runtime"]
    options = runtime["containerd"]["runtimes"]["runc"]["options"]
    paths = [
        document["root"],
        document["state"],
        document["grpc"]["address"],
        options["Root"],
        *runtime["cni"]["bin_dirs"],
    ]
    assert [path for path in paths if not Path(path).is_relative_to(tmp_path)] == []
    assert runtime["restrict_oom_score_adj"] is True


def test_every_file_that_a_server_is_told_of_is_written(tmp_path: Path) -> None:
    layout, built = configuration.Layout(tmp_path), tmp_path / "programs"
    credentials.write(layout.credentials.folder, os.environ)
    configuration.write(layout, built)
    words = [word for program in programs.everything(layout, built) for word in program.argv[1:]]
    files = [Path(value) for word in words if (value := word.partition("=")[2]).startswith(str(tmp_path))]
    files += [Path(value) for value in _strings(configuration.kubelet(layout)) if value.startswith(str(tmp_path))]
    assert len(files) > 10
    assert [file for file in files if not file.exists()] == []


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    return [value] if isinstance(value, str) else []


def test_dns_is_where_kubelets_send_pods() -> None:
    items = json.loads(addons.manifests())["items"]
    service = next(item for item in items if item["kind"] == "Service")
    assert service["spec"]["clusterIP"] == addresses.DNS_SERVICE
    assert ip_address(service["spec"]["clusterIP"]) in addresses.SERVICES
    labels = next(item for item in items if item["kind"] == "Deployment")["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels


def test_a_process_that_works_in_the_folder_is_a_leftover(tmp_path: Path) -> None:
    assert leftovers.processes(tmp_path) == []
    child = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    try:
        assert [line.split()[0] for line in leftovers.processes(tmp_path)] == [str(child.pid)]
    finally:
        child.kill()
        child.wait()
    assert leftovers.processes(tmp_path) == []
