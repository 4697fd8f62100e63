"""From the version before to this one, and back: each test finds what the one before left.

The version before is the one in the repository's history; its images were built from there (hack/localnode/earlier.py).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from support.clusterkit import RELEASE, Cluster, Rest, until
from support.release import ROOT, VALUES, another_ray_takes_over, install, is_hidden, uninstall, upgrade

pytestmark = pytest.mark.skipif(
    "VELUM_EARLIER" not in os.environ, reason="needs the version before: hack/cluster e2e, where the history knows it"
)

SOON = "--set=ray.deletionDelaySeconds=5"


def _earlier_images() -> list[str]:
    return [f"--set=images.{part}.tag=earlier" for part in ("operator", "ingress", "worker")]


def _tags(cluster: Cluster) -> set[str]:
    """The tags of the images of the release's pods that are not on their way out, without KubeRay's."""
    pods = [pod for pod in cluster.get("pods")["items"] if "deletionTimestamp" not in pod["metadata"]]
    images = [container["image"] for pod in pods for container in pod["spec"]["containers"]]
    return {image.rpartition(":")[2] for image in images if "/velum/" in image}


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    """The document of a task that ended in the version before."""
    return {}


def test_the_version_before_is_installed_and_hides(
    cluster: Cluster, picture: bytes, kept: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    install(cluster, Path(os.environ["VELUM_EARLIER"]), *_earlier_images(), SOON)
    rest: Rest = request.getfixturevalue("rest")  # whose address there is from here on
    kept.update(rest.post(picture).json())
    is_hidden(rest, kept, picture)
    assert _tags(cluster) == {"earlier"}


def test_the_upgrade_loses_nothing(
    cluster: Cluster, rest: Rest, picture: bytes, long_clip: bytes, kept: dict[str, Any]
) -> None:
    another_ray_takes_over(cluster, rest, picture, long_clip, lambda: upgrade(cluster, "-f", ROOT / VALUES, SOON))
    until(lambda: _tags(cluster) == {"dev"}, 300, lambda: f"pods of both versions: {_tags(cluster)}")
    assert rest.task(kept["id"])["status"] == "done"
    is_hidden(rest, kept, picture)


def test_the_way_back_loses_nothing(
    cluster: Cluster, rest: Rest, picture: bytes, long_clip: bytes, kept: dict[str, Any]
) -> None:
    def rollback() -> None:
        cluster.helm("rollback", RELEASE, "1", "--wait", "--timeout=10m")

    another_ray_takes_over(cluster, rest, picture, long_clip, rollback)
    until(lambda: _tags(cluster) == {"earlier"}, 300, lambda: f"pods of both versions: {_tags(cluster)}")
    is_hidden(rest, kept, picture)


def test_it_is_uninstalled_from_there(cluster: Cluster) -> None:
    uninstall(cluster)
