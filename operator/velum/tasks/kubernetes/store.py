"""The Store port on custom resources. One request per status write; the API server's versions are the fence."""

import asyncio
import logging
import os
import socket
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from typing import Any, Literal, Self

from velum.api.meta import API_VERSION, FINALIZER, KEEP_FILES, PURGE_FILES
from velum.api.model import AnonymizationModel, ModelSpec, ModelStatus
from velum.api.status import Phase, TaskStatus
from velum.api.task import AnonymizationTask, TaskSpec
from velum.clock import Clock, SystemClock
from velum.errors import Conflict, InvalidInput, NotFound, VelumError
from velum.tasks.kubernetes import bodies, models, secrets
from velum.tasks.kubernetes.collection import METADATA_ONLY, Collection, Json
from velum.tasks.kubernetes.refusals import PART, Expired
from velum.tasks.kubernetes.watching import Watching
from velum.tasks.phases import UNFINISHED
from velum.tasks.reading import Resource, parse, readable
from velum.tasks.secret import with_secret
from velum.tasks.store import PAGE, ModelEvent, SecretHeader, TaskEvent, TaskPage

log = logging.getLogger(__name__)


class KubernetesStore:
    """Tasks and models of one namespace. Owns the client it is given: `aclose` closes it."""

    def __init__(self, client: Any, namespace: str, clock: Clock | None = None) -> None:
        """`client`: an ApiClient of `kubernetes.aio`, as `load_client` makes it."""
        ours = f"/apis/{API_VERSION}"
        self._client = client
        self._clock = clock or SystemClock()
        self._tasks = Collection(client, api=ours, resource="anonymizationtasks", kind="task", namespace=namespace)
        self._models = Collection(client, api=ours, resource="anonymizationmodels", kind="model", namespace=namespace)
        self._secrets = Collection(client, api="/api/v1", resource="secrets", kind="secret", namespace=namespace)
        self._events = Collection(
            client, api="/apis/events.k8s.io/v1", resource="events", kind="event", namespace=namespace
        )
        self._instance = f"{socket.gethostname()}-{os.getpid()}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections to the API server."""
        await self._client.close()

    async def create(
        self, name: str, spec: TaskSpec, *, labels: dict[str, str], header: SecretHeader | None = None
    ) -> AnonymizationTask:
        """Keep a new task with its finalizer, then its Secret; a task whose Secret cannot be made is taken back."""
        spec = with_secret(name, spec) if header is not None else spec
        task = _parsed(await self._tasks.create(bodies.task(name, spec, labels)), AnonymizationTask)
        if header is not None:
            try:
                await secrets.keep(self._secrets, task, header)
            except BaseException:
                await asyncio.shield(self._take_back(task))
                raise
        return task

    async def _take_back(self, task: AnonymizationTask) -> None:
        with suppress(VelumError):
            await self._tasks.delete(task.name, uid=task.metadata.uid)

    async def get(self, name: str) -> AnonymizationTask:
        """Return the task as it is now. Raises NotFound."""
        return _parsed(await self._tasks.get(name), AnonymizationTask)

    async def list(self, *, phases: Sequence[Phase] = (), limit: int = 100, cursor: str | None = None) -> TaskPage:
        """Return tasks by name, which for ids is the order of creation. Raises InvalidInput for a bad cursor."""
        if limit < 1:
            raise InvalidInput("limit", "must be at least 1")
        if cursor == "":  # the server would take it for none at all
            raise InvalidInput("cursor", "is empty; start again without it")
        query: dict[str, str | int] = {"limit": limit}
        if selector := bodies.phase_selector(phases):
            query["fieldSelector"] = selector
        if cursor is not None:
            query["continue"] = cursor
        try:
            page = await self._tasks.page(query)
        except Expired as error:
            raise InvalidInput("cursor", "has expired; start again without it") from error
        except InvalidInput as error:
            raise InvalidInput(
                "cursor", f"is not one that a list returned; start again without it ({error})"
            ) from error
        tasks = readable(page["items"] or (), lambda item: _parsed(item, AnonymizationTask))
        return TaskPage(tuple(tasks), page["metadata"].get("continue") or None)

    async def count_unfinished(self) -> int:
        """Return how many tasks wait or run."""
        query: dict[str, str | int] = {"limit": PAGE, "fieldSelector": bodies.phase_selector(UNFINISHED)}
        count = 0
        while True:
            page = await self._tasks.page(query, accept=METADATA_ONLY)
            count += len(page["items"] or ())  # Go writes an empty list as null
            if not page["metadata"].get("continue"):
                return count
            query["continue"] = page["metadata"]["continue"]

    async def write_status(self, task: AnonymizationTask, status: TaskStatus) -> AnonymizationTask:
        """Replace the status if the task is still at the version given. Raises Conflict, NotFound."""
        patch = {**_at(task), "status": bodies.merge_patch(task.status.wire(), status.wire())}
        return _parsed(await self._tasks.patch(task.name, patch, subresource="status"), AnonymizationTask)

    async def add_finalizer(self, task: AnonymizationTask) -> AnonymizationTask:
        """Make deletion wait for `release`. Raises Conflict, NotFound."""
        return await self._set_finalizers(task, [*task.metadata.finalizers, FINALIZER])

    async def delete(self, name: str, *, keep_files: bool = False) -> None:
        """Ask for the task to go; `keep_files` leaves its files. Raises NotFound."""
        if keep_files:
            if (await self.get(name)).deleting:
                return  # what happens to the files was settled by the first call
            await self._annotate(name, KEEP_FILES, "true")
        left = await self._tasks.delete(name)
        if not keep_files and KEEP_FILES in (left.get("metadata", {}).get("annotations") or {}):
            with suppress(NotFound):
                await self._annotate(name, KEEP_FILES, None)

    async def purge(self, name: str) -> None:
        """Ask for the task's files to go while the record stays. Raises NotFound."""
        await self._annotate(name, PURGE_FILES, "true")

    async def _annotate(self, name: str, annotation: str, value: str | None) -> None:
        await self._tasks.patch(name, {"metadata": {"annotations": {annotation: value}}})

    async def suspend(self, name: str, suspended: bool) -> None:
        """Set `spec.suspend`. Raises NotFound."""
        await self._tasks.patch(name, {"spec": {"suspend": suspended}})

    async def release(self, task: AnonymizationTask) -> None:
        """Remove our finalizer and no other: a task marked for deletion is gone now, with its Secret."""
        now = task
        for _ in range(models.TRIES):
            try:
                if now.deleting:
                    await secrets.drop(self._secrets, now)
                await self._set_finalizers(now, [each for each in now.metadata.finalizers if each != FINALIZER])
            except Conflict:
                pass
            except NotFound:
                return
            else:
                return
            try:
                now = await self.get(task.name)
            except NotFound:
                return
            if now.metadata.uid != task.metadata.uid:
                return  # ours is gone, this is another of the same name
        raise Conflict(task.name)

    async def _set_finalizers(self, task: AnonymizationTask, finalizers: Sequence[str]) -> AnonymizationTask:
        patch = _at(task)
        patch["metadata"]["finalizers"] = list(dict.fromkeys(finalizers))
        return _parsed(await self._tasks.patch(task.name, patch), AnonymizationTask)

    async def header(self, task: AnonymizationTask) -> SecretHeader | None:
        """Return the webhook's secret header, None when the task has none. Raises NotFound when it should exist."""
        return await secrets.read(self._secrets, task)

    async def record_event(
        self, task: AnonymizationTask, kind: Literal["Normal", "Warning"], reason: str, message: str
    ) -> None:
        """Note something for `kubectl describe`. Never raises."""
        name = f"{task.name[:220]}.{uuid.uuid4().hex}"
        now = self._clock.now()
        body = bodies.event(task, kind, reason, message, name=name, instance=self._instance, now=now)
        try:
            await self._events.create(body)
        except (VelumError, Expired) as error:
            log.warning("the event %s about task %s was not kept: %s", reason, task.name, error)

    async def watch(self) -> AsyncIterator[TaskEvent]:
        """Yield every task, then changes, until closed. Raises Unavailable only at the first try."""
        async with aclosing(Watching(self._tasks, AnonymizationTask).changes()) as changes:
            async for change in changes:
                yield TaskEvent("present" if change.present else "gone", change.resource)

    async def watch_models(self) -> AsyncIterator[ModelEvent]:
        """Yield every model, then changes, until closed. Raises Unavailable only at the first try."""
        async with aclosing(Watching(self._models, AnonymizationModel).changes()) as changes:
            async for change in changes:
                yield ModelEvent("present" if change.present else "gone", change.resource)

    async def check(self) -> None:
        """Raise Unavailable when the server does not answer, does not know our types, or does not let us read them."""
        await self._tasks.page({"limit": 1}, accept=METADATA_ONLY)

    async def get_model(self, name: str) -> AnonymizationModel:
        """Return the model as it is now. Raises NotFound."""
        return _parsed(await self._models.get(name), AnonymizationModel)

    async def list_models(self) -> tuple[AnonymizationModel, ...]:
        """Return all models by name."""
        return await models.listed(self._models)

    async def put_model(self, name: str, spec: ModelSpec) -> AnonymizationModel:
        """Create the model or replace its spec. Raises InvalidInput."""
        return await models.put(self._models, name, spec)

    async def write_model_status(self, model: AnonymizationModel, status: ModelStatus) -> AnonymizationModel:
        """Replace the status if the model is still at the version given. Raises Conflict, NotFound."""
        return await models.write_status(self._models, model, status)


def _at(task: AnonymizationTask) -> Json:
    """Return the beginning of a patch that holds only for this task at this version."""
    return {"metadata": {"resourceVersion": task.metadata.resource_version, "uid": task.metadata.uid}}


def _parsed(item: Json, kind: type[Resource]) -> Resource:
    return parse(item, kind, PART)
