"""`velum adopt`: shows first, and then makes forgotten files be removed again. In a cluster: tests/cluster."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from typer.testing import CliRunner

from support.samples import spec
from velum.clock import SystemClock
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.sqlite import SqliteStore
from velum_cli.folders import DataFolder
from velum_cli.main import app
from velum_operator.janitor import Janitor
from velum_operator.metrics import ControllerMetrics

ORIGINAL = "tasks/default/lost/input"


class Reinstalled:
    """A new `velum up` on the stores of one that is gone, which left an upload behind."""

    def __init__(self, folder: Path) -> None:
        self.folder = DataFolder(folder)
        self.registry = CollectorRegistry()
        self.settings = Settings.load(
            flags={"storage": {"input": self.folder.inputs.as_uri(), "output": self.folder.outputs.as_uri()}}
        )
        self.storage = Storage.open(self.settings.storage.input, self.settings.storage.output)

    async def fill(self) -> None:
        for store in (self.storage.inputs, self.storage.outputs):
            await store.put("tasks/default/.owner", b"somebody-gone\n")
        await self.storage.inputs.put(ORIGINAL, b"original")
        old = time.time() - 2 * self.settings.controller.orphan_seconds
        os.utime(self.folder.inputs / ORIGINAL, (old, old))
        async with SqliteStore(self.folder.database, SystemClock()) as store:
            task = await store.create("mine", spec(), labels={})
            await self.storage.inputs.put(f"{task.folder}input", b"mine")

    async def sweep(self) -> tuple[str, ...]:
        metrics = ControllerMetrics(self.registry)
        async with SqliteStore(self.folder.database, SystemClock()) as store:
            identity = await store.identity()
            janitor = Janitor(store, self.storage, SystemClock(), self.settings.controller, metrics, identity)
            swept = await janitor.sweep()
        self.shared = self.registry.get_sample_value("velum_unswept_stores", {"reason": "shared"})
        self.registry = CollectorRegistry()
        return swept

    def adopt(self, *flags: str) -> str:
        argv = [sys.executable, "-m", "velum_cli.main", "adopt", "--data", str(self.folder.path), *flags]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
async def house(tmp_path: Path) -> Reinstalled:
    found = Reinstalled(tmp_path / "data")
    await found.fill()
    return found


async def test_it_shows_what_there_is_and_changes_nothing(house: Reinstalled) -> None:
    assert await house.sweep() == ()
    assert house.shared == 2
    said = house.adopt()
    assert said.count("marked as used by somebody-gone") == 2
    assert "folders of no task: 1 (lost)" in said
    assert "folders of no task: 0\n" in said
    assert "Nothing was changed." in said
    assert await house.sweep() == ()
    assert await house.storage.inputs.get(ORIGINAL)


async def test_after_it_forgotten_files_are_removed_and_no_others(house: Reinstalled) -> None:
    assert await house.sweep() == ()
    assert house.adopt("--yes").count("is this installation's alone from now on") == 2
    assert await house.sweep() == ("lost",)
    assert house.shared == 0
    assert await house.storage.inputs.get("tasks/default/mine/input") == b"mine"
    again = house.adopt("--yes")
    assert again.count("marked as used by no other installation") == 2
    assert "from now on" not in again


def test_a_folder_that_is_none_is_refused_and_stays_none(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["adopt", "--data", str(tmp_path / "nowhere"), "--yes"])
    assert done.exit_code == 2
    assert "--data: " in done.output
    assert not (tmp_path / "nowhere" / "velum.db").exists()


def test_outside_a_cluster_it_says_what_is_missing(tmp_path: Path) -> None:
    stores = ["--input", str(tmp_path / "in"), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["adopt", *stores])
    assert done.exit_code == 1
    assert "no kubeconfig was named and this is no pod" in done.output
    assert done.output.count("\n") == 1


def test_it_needs_only_what_the_operators_image_has() -> None:
    absent = "cv2 numpy ray av onnxruntime numba fastapi kopf torch velum_serve"
    code = f"import velum_cli.adopt, sys; print(*({{*{absent.split()!r}}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stderr
