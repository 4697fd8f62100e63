"""The ground of these tests: a real API server with KubeRay's real definitions.

KubeRay's controller is what a test plays here, by writing a status as it would; Ray's dashboard and Serve's proxy are
played over HTTP. On a real node `hack/cluster e2e` runs KubeRay and Ray themselves.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytest.register_assert_rewrite("support.operatorkit", "support.playedray", "support.kuberayrelease")

from support.kuberay import CONFIGMAP, NoModule, install  # noqa: E402
from support.kuberayrelease import TOKEN, Release  # noqa: E402
from support.operatorkit import settings, storage_of  # noqa: E402
from support.playedray import PlayedRay  # noqa: E402
from velum.settings import Settings  # noqa: E402
from velum.tasks.kubernetes import load_client  # noqa: E402


@pytest.fixture(scope="session")
def kuberay(controlplane: Any) -> None:
    """The server knows RayServices."""
    try:
        install(controlplane)
    except NoModule as error:
        pytest.skip(str(error))


@pytest.fixture
async def release(controlplane: Any, namespace: str, kuberay: None) -> AsyncIterator[Release]:
    client = await load_client(controlplane.kubeconfig)
    try:
        release = Release(client, namespace)
        yield release
        await release.remove()
    finally:
        await client.close()


@pytest.fixture
async def ray(tmp_path: Path) -> AsyncIterator[PlayedRay]:
    async with PlayedRay(storage_of(settings(tmp_path)).outputs, token=TOKEN) as ray:
        yield ray


@pytest.fixture
def given(tmp_path: Path, namespace: str, ray: PlayedRay) -> Settings:
    return settings(
        tmp_path,
        controller={"namespace": namespace, "metrics_port": 0, "workers": 4},
        serving={"dashboard": ray.url, "url": ray.url, "rayservice": CONFIGMAP, "token": TOKEN},
    )
