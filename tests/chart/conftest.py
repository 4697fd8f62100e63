"""The chart tests' ground: helm, built while tests are collected because a build would run into their time limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import helmchart

HERE = Path(__file__).resolve().parent
HELM = pytest.StashKey["helmchart.Helm | str"]()


def pytest_collection_finish(session: pytest.Session) -> None:
    wanted = any(HERE in item.path.parents for item in session.items)
    if wanted and not session.config.option.collectonly and HELM not in session.config.stash:
        try:
            session.config.stash[HELM] = helmchart.helm()
        except helmchart.NoHelm as error:
            session.config.stash[HELM] = str(error)


@pytest.fixture(scope="session")
def helm(request: pytest.FixtureRequest) -> helmchart.Helm:
    """Helm; skips, with the reason, where it can neither be found nor built."""
    found = request.config.stash[HELM]
    if isinstance(found, str):
        pytest.skip(found)
    return found


@pytest.fixture(scope="session", params=helmchart.VALUES, ids=lambda file: file.name.removesuffix("-values.yaml"))
def rendered(request: pytest.FixtureRequest, helm: helmchart.Helm) -> list[helmchart.Json]:
    """What the chart renders of each file of charts/velum/ci."""
    return helm.objects("--values", request.param)
