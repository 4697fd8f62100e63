"""The ground of these tests: a real API server with KubeRay's real definitions.

KubeRay's controller is what a test plays here, by writing a status as it would; Ray's dashboard and Serve's proxy are
played over HTTP. On a real node `hack/cluster e2e` runs KubeRay and Ray themselves.
"""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from support.kuberay import CONFIGMAP, NoModule, install
from support.kuberayrelease import TOKEN, Release
from support.operatorkit import settings, storage_of
from support.playedray import PlayedRay
from support.runningoperator import beside
from velum.settings import Settings
from velum.tasks.kubernetes import load_client


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
    return beside(ray, tmp_path, namespace, rayservice=CONFIGMAP, token=TOKEN)
