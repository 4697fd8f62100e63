"""What `velum up --kubeconfig` and the parts of a cluster say of an API server that is no help.

On a real API server: tests/cluster/test_up.py.
"""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from velum.errors import Unavailable
from velum.settings import Settings
from velum_cli import cluster


def kubeconfig(folder: Path, server: str) -> Path:
    file = folder / "kubeconfig"
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": server.rstrip("/")}}],
        "users": [{"name": "it", "user": {"token": "anybody"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
    }
    file.write_text(json.dumps(document))
    return file


@pytest.mark.parametrize("install", [False, True])
async def test_nobody_there_is_told(tmp_path: Path, install: bool) -> None:
    file = kubeconfig(tmp_path, "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="API server is unavailable: Cannot connect"):
        async with cluster.kubernetes_store(Settings.load(), file, install_crds=install):
            pytest.fail("there is no API server")


async def test_rights_that_lack_are_told(tmp_path: Path) -> None:
    async with TestServer(server_that(lambda request: 403)) as server:
        file = kubeconfig(tmp_path, str(server.make_url("/")))
        with pytest.raises(Unavailable, match=r"not allowed to patch customresourcedefinitions\.apiextensions"):
            async with cluster.kubernetes_store(Settings.load(), file, install_crds=True):
                pytest.fail("nothing was allowed")


async def test_types_that_are_never_served_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "CRD_WAIT_SECONDS", 0)
    async with TestServer(server_that(lambda request: 200 if request.method == "PATCH" else 404)) as server:
        file = kubeconfig(tmp_path, str(server.make_url("/")))
        with pytest.raises(Unavailable, match=r"installed, and not served 0 s later: .*anonymizationtasks\.velum\.dev"):
            async with cluster.kubernetes_store(Settings.load(), file, install_crds=True):
                pytest.fail("nothing was served")


def server_that(answers: Callable[[web.Request], int]) -> web.Application:
    """An API server that says nothing but a status."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({}, status=answers(request))

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    return application
