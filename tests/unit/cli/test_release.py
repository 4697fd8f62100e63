"""What the chart runs in the images of operator and ingress. On a real API server: tests/cluster/test_chart.py."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from typer.testing import CliRunner

from velum.settings import Settings
from velum_cli import release

LATE = 30.0
NAMELESS = "{apiVersion: velum.dev/v1alpha1, kind: AnonymizationModel, spec: {}}"


class TestImports:
    @pytest.mark.parametrize(
        ("module", "absent"),
        [
            ("velum_cli.release", "cv2 numpy ray av onnxruntime numba fastapi kopf torch velum_pipeline.media"),
            ("velum_cli.selfcheck", "ray av onnxruntime numba kopf torch"),
        ],
    )
    def test_they_need_only_what_their_image_has(self, module: str, absent: str) -> None:
        code = f"import {module}, sys; print(*({{*{absent.split()!r}}} & set(sys.modules)))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip() == ""


class TestTrouble:
    def test_a_wrong_setting_is_told_in_one_line(self, tmp_path: Path) -> None:
        config = tmp_path / "config.toml"
        config.write_text("[controller]\nnamespace = 3\n")
        argv = ["models", f"--file={tmp_path}", "--owner=velum-models", f"--config={config}"]
        done = CliRunner().invoke(release.app, argv)
        assert done.exit_code == 2
        assert done.output.startswith("velum: ")
        assert done.output.count("\n") == 1

    def test_a_cluster_that_cannot_be_reached_is_told_in_one_line(self, tmp_path: Path) -> None:
        argv = ["leave", "--tasks=delete", f"--kubeconfig={tmp_path / 'none'}"]
        done = CliRunner().invoke(release.app, argv)
        assert done.exit_code == 1
        assert done.output.startswith("velum: ")
        assert done.output.count("\n") == 1


class TestModels:
    async def test_a_file_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(release.InvalidInput, match="--file"):
            await release.apply_models(None, Settings.load(), tmp_path / "none.yaml", "velum-models")

    @pytest.mark.parametrize("text", ["kind: Secret", "a: [", "- 1", "apiVersion: velum.dev/v1alpha1", NAMELESS])
    async def test_a_file_of_something_else_is_refused(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "models.yaml"
        file.write_text(text)
        with pytest.raises(release.InvalidInput, match=r"models\.yaml"):
            await release.apply_models(None, Settings.load(), file, "velum-models")


class TestWaiting:
    async def test_it_ends_as_soon_as_nothing_is_left(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(release, "LOOK_SECONDS", 0)
        answers = [["a", "b"], ["b"], []]
        assert await release._gone(lambda: _answer(answers.pop(0)), time.monotonic() + LATE) == []
        assert answers == []

    async def test_it_ends_with_what_is_left_at_the_deadline(self) -> None:
        assert await release._gone(lambda: _answer(["a"]), time.monotonic() - 1) == ["a"]


class TestSelfCheck:
    """`python -m velum_cli.selfcheck`, which `helm test` runs."""

    async def test_a_service_that_hides_nothing_fails_it(self) -> None:
        application = web.Application()
        application.router.add_post("/v1/file", _full)
        async with TestServer(application) as server:
            done = await _checked(str(server.make_url("/")))
        assert done == (1, "self-check failed: 503: too many tasks\n")

    async def test_nobody_there_fails_it(self) -> None:
        status, said = await _checked("http://127.0.0.1:9")
        assert status == 1
        assert "the service did not answer" in said


async def _answer(value: list[str]) -> list[str]:
    return value


async def _full(_: web.Request) -> web.Response:
    return web.json_response({"error": "too many tasks"}, status=503)


async def _checked(url: str) -> tuple[int | None, str]:
    argv = [sys.executable, "-m", "velum_cli.selfcheck", url, "--timeout=20"]
    process = await asyncio.create_subprocess_exec(*argv, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    return process.returncode, said.decode()
