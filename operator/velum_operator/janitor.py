"""Sweeping up what no task owns: an upload whose task was never created, files of an attempt that outlived its task.

A forgotten original is a leak, so this is part of the privacy promise, not housekeeping. Four things keep it from
removing what somebody needs: storage is swept only by an installation that is alone in it (`velum_operator.ownership`),
because to any other one, and to one that lost its database, every result looks forgotten; the store is asked about each
single folder right before it goes; a folder must have been there for `orphan_seconds`, because an upload exists before
its task does; and a folder with a `.keep` marker (written when a record is deleted with its files kept) stays.
"""

import asyncio
import logging
from datetime import timedelta

from velum.api.status import Phase
from velum.api.task import task_folder
from velum.clock import Clock
from velum.errors import NotFound, VelumError
from velum.settings import ControllerSettings
from velum.storage import BlobStore, Storage
from velum.tasks.store import TaskStore
from velum_operator.metrics import FAILED, ControllerMetrics
from velum_operator.ownership import Ownership, Standing

log = logging.getLogger(__name__)

KEEP = ".keep"
"""Name of the object that says: these files stay although their task is gone."""

SWEEPS_PER_AGE = 4
"""Sweeps in the time that makes an orphan: it lives at most a quarter longer than promised."""


def stores(storage: Storage) -> tuple[BlobStore, ...]:
    """Return the stores that hold task folders: one when inputs and outputs are the same place."""
    same = storage.inputs.url == storage.outputs.url
    return (storage.outputs,) if same else (storage.inputs, storage.outputs)


async def mark_kept(storage: Storage, folder: str) -> None:
    """Mark a task's folder so that it outlives the task. Raises Unavailable."""
    for store in stores(storage):
        if await store.below(folder):
            await store.put(folder + KEEP, b"")


class Janitor:
    """Removes the orphans of one namespace."""

    def __init__(
        self,
        store: TaskStore,
        storage: Storage,
        clock: Clock,
        settings: ControllerSettings,
        metrics: ControllerMetrics,
        identity: str,
    ) -> None:
        """`identity`: of the installation that `store` belongs to, and of no other one in the world."""
        self._store = store
        self._storage = storage
        self._clock = clock
        self._namespace = settings.namespace
        self._age = timedelta(seconds=settings.orphan_seconds)
        self._metrics = metrics
        self._ownership = Ownership(store, settings.namespace, identity)

    async def run(self) -> None:
        """Sweep now and then, until cancelled. A sweep that fails is logged and tried again."""
        while True:
            try:
                await self.sweep()
                self._metrics.unswept.labels(FAILED).set(0)
            except VelumError as error:
                self._metrics.unswept.labels(FAILED).set(1)
                log.warning("sweeping orphans: %s", error)
            await asyncio.sleep(self._age.total_seconds() / SWEEPS_PER_AGE)

    async def sweep(self) -> tuple[str, ...]:
        """Remove each orphan that is old enough from the stores that are ours; return the names. Raises Unavailable."""
        ours = await self._ours()
        names: set[str] = set()
        for store in ours:
            names.update(await store.folders(f"tasks/{self._namespace}/"))
        return tuple([name for name in sorted(names) if await self._remove(name, ours)])

    async def _ours(self) -> list[BlobStore]:
        """Return the stores that may be swept; show why the others may not."""
        standings = [(store, await self._ownership.standing(store)) for store in stores(self._storage)]
        for why in (Standing.SHARED, Standing.UNMARKED):
            self._metrics.unswept.labels(why).set(sum(standing is why for _, standing in standings))
        return [store for store, standing in standings if standing is Standing.OURS]

    async def _remove(self, name: str, ours: list[BlobStore]) -> bool:
        if await self._owned(name):
            return False
        folder = task_folder(self._namespace, name)
        blobs = [blob for store in ours for blob in await store.below(folder)]
        if not blobs or any(blob.key == folder + KEEP for blob in blobs):
            return False
        if self._clock.now() - min(blob.modified for blob in blobs) < self._age:
            return False
        if await self._owned(name):  # listing took time, and a task may have been made in it
            return False
        removed = sum([await store.remove(folder) for store in ours])
        self._metrics.orphans.inc()
        log.info("removed %d orphaned objects below %s", removed, folder)
        return True

    async def _owned(self, name: str) -> bool:
        """Tell whether a task stands for these files. One whose files were removed does not: they came later."""
        try:
            task = await self._store.get(name)
        except NotFound:
            return False
        return task.status.phase is not Phase.DELETED
