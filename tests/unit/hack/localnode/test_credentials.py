"""Certificates, tokens and kubeconfigs of the local cluster, as openssl and the servers read them."""

from __future__ import annotations

import csv
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from localnode import addresses, credentials


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> credentials.Files:
    return credentials.write(tmp_path_factory.mktemp("cluster") / "credentials", os.environ)


def _openssl(*words: str | Path) -> str:
    return subprocess.run(["openssl", *map(str, words)], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", ["kube-apiserver", "kubelet", "kubelet-client"])
def test_the_authority_signed_every_certificate(files: credentials.Files, name: str) -> None:
    assert _openssl("verify", "-CAfile", files.authority, files.certificate(name)).endswith("OK\n")


@pytest.mark.parametrize("address", ["127.0.0.1", addresses.NODE, addresses.API_SERVICE])
def test_the_api_server_is_known_by_every_address_that_clients_use(files: credentials.Files, address: str) -> None:
    answer = _openssl("x509", "-in", files.certificate("kube-apiserver"), "-noout", "-checkip", address)
    assert "does match" in answer


def test_the_api_servers_identity_towards_kubelets_is_in_the_admins_group(files: credentials.Files) -> None:
    subject = _openssl("x509", "-in", files.certificate("kubelet-client"), "-noout", "-subject")
    assert "O = system:masters" in subject


def test_each_kubeconfig_has_the_token_of_its_own_user(files: credentials.Files) -> None:
    rows = {
        identity: (token, user, groups)
        for token, user, identity, groups in csv.reader(files.tokens.read_text().splitlines())
    }
    assert rows["kubelet"][1:] == ("system:node:velum-node", "system:nodes")
    assert rows["kube-scheduler"][1:] == ("system:kube-scheduler", "")
    assert len({token for token, _, _ in rows.values()}) == len(rows)
    for identity, (token, _, _) in rows.items():
        document = yaml.safe_load(files.kubeconfig(identity).read_text())
        assert document["users"][0]["user"]["token"] == token


def test_nobody_else_reads_them(files: credentials.Files) -> None:
    assert files.folder.stat().st_mode & 0o077 == 0
    keys = [*files.folder.glob("*.key"), *files.folder.glob("*.kubeconfig"), files.tokens]
    assert [key.name for key in keys if key.stat().st_mode & 0o077] == []


def test_only_our_own_kubeconfig_counts_as_ours(files: credentials.Files, tmp_path: Path) -> None:
    other = tmp_path / "config"
    other.write_text("apiVersion: v1\n")
    assert credentials.is_ours(files.kubeconfig(credentials.ADMIN))
    assert not credentials.is_ours(other)
    assert not credentials.is_ours(tmp_path / "absent")
