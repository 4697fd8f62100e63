"""What the local cluster asks of a machine before it touches it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from localnode import addresses, machine
from localplane.errors import ToolsMissing


def test_a_missing_tool_is_named_with_the_line_that_installs_it() -> None:
    with pytest.raises(ToolsMissing, match=r"needs no-such-tool, .*apt-get install .* some-package$"):
        machine.require({"no-such-tool": "some-package", "sh": "dash"}, os.environ)


def test_every_package_is_named_once() -> None:
    assert machine.advice({"unshare": "util-linux", "nsenter": "util-linux", "runc": "runc"}).endswith(
        " runc util-linux"
    )


def test_tools_in_sbin_are_found_without_a_path(tmp_path: Path) -> None:
    assert "/usr/sbin" in machine.search_path({}).split(":")
    assert not machine.search_path({}).startswith(":"), "an empty entry is the working folder"


def test_a_folder_too_long_for_sockets_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 60)
    with pytest.raises(machine.MachineRefuses, match="root" if os.geteuid() else "too long"):
        machine.check(folder, os.environ)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("routes", "taken"),
    [
        ("default via 192.0.2.1 dev eth0\n192.0.2.0/24 dev eth0 proto kernel scope link", False),
        ("10.87.0.0/16 via 10.87.255.2 dev velum-host", False),
        ("10.87.255.0/30 dev velum-host proto kernel scope link src 10.87.255.1", False),
        ("10.0.0.0/8 dev tun0", True),
        ("10.87.3.7 dev tun0", True),
        ("unreachable 10.88.0.0/16", False),
    ],
)
def test_a_route_of_somebody_else_into_our_range_is_seen(routes: str, taken: bool) -> None:
    assert bool(addresses.taken_by(routes)) is taken


def test_ranges_lie_in_the_cluster_and_apart() -> None:
    ranges = [addresses.SERVICES, addresses.PODS, addresses.WIRE]
    assert all(part.subnet_of(addresses.CLUSTER) for part in ranges)
    assert not any(a.overlaps(b) for a in ranges for b in ranges if a is not b)
    assert all(len(name) < 16 for name in (addresses.MACHINE_LINK, addresses.NODE_LINK, addresses.BRIDGE))
