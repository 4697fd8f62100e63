"""The store port on a real API server, and what only that one does."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.register_assert_rewrite("support.storeport")

from support.storeport import StorePort  # noqa: E402
from velum.tasks.kubernetes import KubernetesStore, load_client  # noqa: E402


@pytest.fixture
async def store(controlplane: Any, namespace: str) -> AsyncIterator[KubernetesStore]:
    async with KubernetesStore(await load_client(controlplane.kubeconfig), namespace) as store:
        yield store


@pytest.fixture
async def other(controlplane: Any, namespace: str) -> AsyncIterator[KubernetesStore]:
    async with KubernetesStore(await load_client(controlplane.kubeconfig), namespace) as store:
        yield store


class TestKubernetesStore(StorePort):
    pass
