"""Models, and whether the store is well."""

from contextlib import aclosing

import pytest

from support.samples import NOW, model_spec
from support.storeport.steps import Seen, made, removed
from velum.api.conditions import READY, set_condition
from velum.api.model import ModelStatus
from velum.errors import Conflict, InvalidInput, NotFound
from velum.tasks.store import Store


class Models:
    async def test_put_makes_and_replaces(self, store: Store, other: Store) -> None:
        first = await store.put_model("default", model_spec())
        assert (first.name, first.metadata.generation, first.status) == ("default", 1, ModelStatus())
        assert await other.put_model("default", model_spec()) == first
        second = await other.put_model("default", model_spec(gpu_percent=50))
        assert (second.metadata.generation, second.metadata.uid) == (2, first.metadata.uid)
        assert await store.get_model("default") == second

    async def test_they_are_listed_by_name(self, store: Store) -> None:
        assert await store.list_models() == ()
        for name in ("street", "default", "faces"):
            await store.put_model(name, model_spec())
        assert [model.name for model in await store.list_models()] == ["default", "faces", "street"]

    async def test_their_status_is_fenced(self, store: Store, other: Store) -> None:
        model = await store.put_model("default", model_spec())
        conditions = set_condition((), READY, "True", "Deployed", "1 replica", generation=1, now=NOW)
        status = ModelStatus(conditions=conditions, observed_generation=1, replicas=1, message="fine")
        written = await store.write_model_status(model, status)
        assert written.status == status
        with pytest.raises(Conflict):
            await other.write_model_status(model, ModelStatus())
        assert (await other.write_model_status(written, ModelStatus())).status == ModelStatus()

    async def test_a_new_spec_keeps_the_status(self, store: Store) -> None:
        model = await store.put_model("default", model_spec())
        status = ModelStatus(observed_generation=1, replicas=2)
        await store.write_model_status(model, status)
        assert (await store.put_model("default", model_spec(gpu_percent=50))).status == status

    async def test_unknown_models_are_named(self, store: Store) -> None:
        with pytest.raises(NotFound) as error:
            await store.get_model("nobody")
        assert (error.value.kind, error.value.name) == ("model", "nobody")

    async def test_they_are_watched_apart_from_tasks(self, store: Store, other: Store) -> None:
        async with aclosing(other.watch_models()) as events:
            seen = Seen(events, lambda e: e.model)
            await made(store)
            model = await store.put_model("default", model_spec())
            await seen.until(lambda s: s.present.get("default") == model)
            assert list(seen.present) == ["default"]

    async def test_a_bad_name_is_refused(self, store: Store) -> None:
        with pytest.raises(InvalidInput):
            await store.put_model("No Such", model_spec())


class Health:
    async def test_a_store_that_answers_is_well(self, store: Store) -> None:
        await store.check()

    async def test_events_never_raise(self, store: Store) -> None:
        task = await made(store)
        await store.record_event(task, "Normal", "Started", "attempt 1 runs")
        await store.record_event(task, "Warning", "PipelineFailed", "ü" * 5000)
        await removed(store, task)
        await store.record_event(task, "Normal", "Expired", "")
