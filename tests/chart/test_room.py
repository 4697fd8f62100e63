"""Room on nodes' disks: every pod says what it needs and may take, and may take what its volumes may hold."""

from __future__ import annotations

import re
from typing import Any

from support import helmchart
from support.helmchart import Helm, Json, named, pods

MINIMAL = helmchart.CHART / "ci" / "minimal-values.yaml"
NODE = helmchart.ROOT / "tests" / "node" / "values.yaml"
KEY = "ephemeral-storage"
LOGS = 100 << 20
"""Of a container: kubelets keep five files of ten MiB by default."""

SCALES = {"": 1, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def in_bytes(size: Any) -> int:
    number, scale = re.fullmatch(r"(\d+)([A-Z]i)?", str(size)).groups()  # type: ignore[union-attr]
    return int(number) * SCALES[scale or ""]


def may_take(pod: Json) -> int:
    """The limit of a pod, as kubelets count it: the larger of its containers' sum and its largest init container."""
    running = [in_bytes(each["resources"]["limits"][KEY]) for each in pod["spec"]["containers"]]
    before = [in_bytes(each["resources"]["limits"][KEY]) for each in pod["spec"].get("initContainers", [])]
    return max(sum(running), *before, 0)


def volumes(pod: Json) -> int:
    disks = [each["emptyDir"] for each in pod["spec"].get("volumes", []) if "emptyDir" in each]
    return sum(in_bytes(each["sizeLimit"]) for each in disks if "sizeLimit" in each and each.get("medium") != "Memory")


def test_every_container_says_how_much(helm: Helm) -> None:
    found = list(pods(helm.objects("--values", MINIMAL, "--set=modelPacks.fetch={centerface}")))
    assert {"velum-operator", "velum-ingress", "velum-test", "velum-pre-delete", "head", "worker cpu"} <= dict(
        found
    ).keys()
    for name, pod in found:
        for each in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]:
            for kind in ("requests", "limits"):
                assert KEY in each["resources"][kind], f"{name}/{each['name']}"


def test_what_volumes_may_hold_fits_the_limit(helm: Helm) -> None:
    for name, pod in pods(helm.objects("--values", MINIMAL, "--set=modelPacks.fetch={centerface}")):
        assert volumes(pod) + LOGS <= may_take(pod), name


def test_those_of_the_jobs_are_values(helm: Helm) -> None:
    flags = [
        "--set=test.resources.limits.memory=111Mi",
        "--set=uninstall.resources.limits.memory=222Mi",
        "--set=modelPacks.resources.limits.memory=333Mi",
        "--set=modelPacks.fetch={centerface}",
    ]
    found = dict(pods(helm.objects("--values", MINIMAL, *flags)))
    limits = {
        each["name"]: each["resources"]["limits"]["memory"]
        for pod in found.values()
        for each in [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    }
    assert (limits["test"], limits["uninstall"], limits["model-packs"]) == ("111Mi", "222Mi", "333Mi")


def test_where_nodes_keep_no_account_of_it_nobody_asks(helm: Helm) -> None:
    """As on the local node: its scheduler would find no node with any."""
    rendered = helm.objects("--values", NODE)
    assert named(rendered, "Deployment", "velum-operator")
    assert KEY not in str(rendered)
