"""One real `velum up` for all contract tests: real Ray, real files, the built-in pack, HTTP as clients speak it."""

from collections.abc import Iterator

import httpx
import pytest

from support.velumup import VelumUp


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "contract" in item.path.parts:
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VelumUp]:
    """The running service: `.url`, `.data`."""
    folder = tmp_path_factory.mktemp("contract")
    with VelumUp(folder, ["--webhook-allow-private"]) as running:
        yield running


@pytest.fixture
def client(server: VelumUp) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=120, trust_env=False) as each:
        yield each
