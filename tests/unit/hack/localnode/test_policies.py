"""What enforces NetworkPolicies in the local cluster."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from localnode import addons, addresses, credentials, leftovers, policies


def test_what_is_enforced_is_asked_of_the_policies_own_identity(tmp_path: Path) -> None:
    files = credentials.write(tmp_path / "credentials", os.environ)
    words = policies.command(files, tmp_path)
    (kubeconfig,) = (word.partition("=")[2] for word in words if word.startswith("--kubeconfig="))
    token = next(line.split()[-1] for line in Path(kubeconfig).read_text().splitlines() if "token:" in line)
    (user,) = (line.split(",")[1] for line in files.tokens.read_text().splitlines() if line.startswith(token))
    items = json.loads(addons.manifests())["items"]
    bound = [item for item in items if {"name": user, "kind": "User"}.items() <= _subject(item).items()]
    assert [item["roleRef"]["name"] for item in bound] == ["system:kube-router"]
    (rules,) = (item["rules"] for item in items if item["metadata"]["name"] == user and "rules" in item)
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}, "it only looks"


def _subject(item: dict[str, object]) -> dict[str, str]:
    subjects = item.get("subjects", [{}])
    assert isinstance(subjects, list)
    found: dict[str, str] = subjects[0]
    return found


@pytest.mark.parametrize("command", ["iptables-save", "ipset"])
def test_rules_and_sets_with_our_addresses_are_leftovers(tmp_path: Path, command: str) -> None:
    """Played by programs of the same names: the real ones would touch the machine's firewall."""
    own = str(addresses.PODS[7])
    for name in ("iptables-save", "ip6tables-save", "ipset", "ip"):
        line = f"add KUBE-SRC-X {own}" if name == command else "add KUBE-SRC-X 192.0.2.9"
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{line if name != 'ip' else ''}'\n")
        (tmp_path / name).chmod(0o755)
    found = leftovers.traces(tmp_path / "absent", {"PATH": str(tmp_path)})
    assert [trace for trace in found if trace.startswith("firewall")] == [f"firewall rule add KUBE-SRC-X {own}"]
