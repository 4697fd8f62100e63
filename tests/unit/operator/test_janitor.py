"""The janitor: what nobody owns goes, what somebody owns or wanted to keep stays."""

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from support.operatorkit import Counting, settings, storage_of, until
from support.samples import ManualClock, spec
from velum.api.status import Phase, TaskStatus
from velum.errors import NotFound, Unavailable
from velum.settings import ControllerSettings, Settings
from velum.storage import Storage
from velum_operator.janitor import KEEP, Janitor, mark_kept, stores
from velum_operator.metrics import ControllerMetrics
from velum_operator.ownership import OWNER

HOUR = 3600
ME = "installation-me"
MARK = f"tasks/default/{OWNER}"


class House:
    """A janitor of an installation, and the storage that it looks after."""

    def __init__(self, store: Any, given: Settings, identity: str = ME) -> None:
        self.registry = CollectorRegistry()
        self.storage = storage_of(given)
        self.clock = ManualClock(datetime.now(UTC))  # files carry the machine's time
        metrics = ControllerMetrics(self.registry)
        self.janitor = Janitor(store, self.storage, self.clock, given.controller, metrics, identity)

    async def own(self) -> None:
        for store in stores(self.storage):
            await store.put(MARK, ME.encode())

    def age(self, key: str, **span: float) -> None:
        """Make a file in the output store older."""
        path = Path(self.storage.outputs.url.removeprefix("file://")) / key
        moment = (self.clock.now() - timedelta(**span)).timestamp()
        os.utime(path, (moment, moment))


@pytest.fixture
async def house(store: Counting, given: Settings) -> House:
    """Both stores are marked as this installation's, as they are from its first moment on."""
    house = House(store, given)
    await house.own()
    return house


async def test_an_upload_whose_task_was_never_made_goes_when_it_is_old(house: House) -> None:
    await house.storage.inputs.put("tasks/default/lost/input", b"original")
    assert await house.janitor.sweep() == ()
    house.clock.forward(seconds=HOUR - 60)
    assert await house.janitor.sweep() == ()
    house.clock.forward(seconds=120)
    assert await house.janitor.sweep() == ("lost",)
    with pytest.raises(NotFound):
        await house.storage.inputs.get("tasks/default/lost/input")
    assert house.registry.get_sample_value("velum_orphans_removed_total") == 1
    assert await house.janitor.sweep() == ()


async def test_both_stores_are_swept_as_one(house: House) -> None:
    await house.storage.inputs.put("tasks/default/lost/input", b"original")
    await house.storage.outputs.put("tasks/default/lost/attempts/u-1/anonymised.jpg", b"late")
    house.clock.forward(hours=2)
    assert await house.janitor.sweep() == ("lost",)
    assert await house.storage.inputs.below("tasks/default/lost/") == []
    assert await house.storage.outputs.below("tasks/default/lost/") == []


async def test_the_oldest_object_counts(house: House) -> None:
    """Something that goes on writing must not keep an original for ever."""
    await house.storage.outputs.put("tasks/default/lost/a", b"1")
    await house.storage.outputs.put("tasks/default/lost/b", b"2")
    house.age("tasks/default/lost/a", hours=2)
    assert await house.janitor.sweep() == ("lost",)


async def test_what_has_a_task_stays_however_old(house: House, store: Counting) -> None:
    task = await store.create("mine", spec(), labels={})
    await house.storage.inputs.put(f"{task.folder}input", b"original")
    house.clock.forward(days=400)
    assert await house.janitor.sweep() == ()


async def test_what_came_after_the_files_were_removed_goes(house: House, store: Counting) -> None:
    """An attempt that outlived `DELETE …?record=false` must not bring files back for good."""
    task = await store.create("purged", spec(), labels={})
    await store.write_status(task, TaskStatus(phase=Phase.DELETED))
    await house.storage.outputs.put(f"{task.folder}attempts/u-1/anonymised.jpg", b"late")
    house.clock.forward(hours=2)
    assert await house.janitor.sweep() == ("purged",)
    assert (await store.get("purged")).status.phase is Phase.DELETED


async def test_a_task_that_appears_meanwhile_keeps_its_files(given: Settings, store: Counting) -> None:
    class Late:
        """The task is made between the janitor's two questions."""

        asked = 0

        async def get(self, name: str) -> Any:
            self.asked += 1
            if self.asked == 1:
                raise NotFound("task", name)
            return await store.get(name)

    house = House(Late(), given)
    await house.own()
    await store.create("late", spec(), labels={})
    await house.storage.inputs.put("tasks/default/late/input", b"original")
    house.clock.forward(hours=2)
    assert await house.janitor.sweep() == ()
    assert await house.storage.inputs.get("tasks/default/late/input")


async def test_marked_files_stay(house: House) -> None:
    await house.storage.outputs.put("tasks/default/kept/attempts/u-1/anonymised.jpg", b"result")
    await mark_kept(house.storage, "tasks/default/kept/")
    house.clock.forward(days=400)
    assert await house.janitor.sweep() == ()
    assert (await house.storage.outputs.head(f"tasks/default/kept/{KEEP}")).size == 0
    assert await house.storage.inputs.below("tasks/default/kept/") == []  # nothing to keep there, so no marker


async def test_other_namespaces_and_other_folders_are_not_ours(house: House) -> None:
    for key in ("tasks/other/lost/input", "incoming/street.jpg", "clean/street.jpg", "tasks/loose"):
        await house.storage.inputs.put(key, b"mine")
    house.clock.forward(days=400)
    assert await house.janitor.sweep() == ()
    assert len(await house.storage.inputs.below("")) == 4 + 1  # the mark


async def test_a_store_that_does_not_answer_removes_nothing(given: Settings) -> None:
    class Away:
        async def get(self, name: str) -> Any:
            raise Unavailable("API server", "away")

    house = House(Away(), given)
    await house.own()
    await house.storage.inputs.put("tasks/default/lost/input", b"original")
    house.clock.forward(days=400)
    with pytest.raises(Unavailable):
        await house.janitor.sweep()
    assert await house.storage.inputs.get("tasks/default/lost/input")


def unswept(house: House) -> dict[str, float]:
    [family] = [each for each in house.registry.collect() if each.name == "velum_unswept_stores"]
    return {sample.labels["reason"]: sample.value for sample in family.samples}


async def test_that_storage_is_not_swept_is_counted_with_the_reason(house: House) -> None:
    await house.janitor.sweep()
    assert unswept(house) == {"shared": 0, "unmarked": 0}
    await house.storage.inputs.put(MARK, b"somebody-else")
    await house.storage.outputs.remove("tasks/default/")
    await house.storage.outputs.put("tasks/default/of-nobody/anonymised.jpg", b"result")
    await house.janitor.sweep()
    assert unswept(house) == {"shared": 1, "unmarked": 1}
    await house.own()
    await house.janitor.sweep()
    assert unswept(house) == {"shared": 0, "unmarked": 0}


async def test_sweeps_that_fail_are_counted_until_one_does_not(given: Settings, store: Counting) -> None:
    class Away:
        away = True

        async def get(self, name: str) -> Any:
            if self.away:
                raise Unavailable("API server", "away")
            return await store.get(name)

    away = Away()
    house = House(away, given.model_copy(update={"controller": ControllerSettings(orphan_seconds=0.04)}))
    await house.own()
    await house.storage.inputs.put("tasks/default/lost/input", b"original")
    running = asyncio.create_task(house.janitor.run())
    try:
        await until(lambda: unswept(house).get("failed") == 1)
        away.away = False
        await until(lambda: unswept(house)["failed"] == 0)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def test_one_place_is_swept_once(tmp_path: Path) -> None:
    same = Storage.open(f"file://{tmp_path}", f"file://{tmp_path}")
    assert stores(same) == (same.outputs,)
    assert len(stores(storage_of(settings(tmp_path)))) == 2
