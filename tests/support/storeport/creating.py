"""A task, its webhook's secret, and how both are deleted."""

import asyncio

import pytest

from support.samples import spec
from support.storeport.steps import HEADER, WEBHOOK, made, moved, removed
from velum.api.meta import FINALIZER, KEEP_FILES, PURGE_FILES, new_name
from velum.api.status import Phase, TaskStatus
from velum.errors import AlreadyExists, Conflict, InvalidInput, NotFound
from velum.tasks.store import SecretHeader, Store


class Creating:
    async def test_a_new_task_is_kept_whole(self, store: Store, other: Store) -> None:
        name = new_name()
        wanted = spec(filename="Straße 7.jpg", ignores=[{"left": 1, "top": 2, "width": 3, "height": 4}], suspend=True)
        task = await store.create(name, wanted, labels={"velum.dev/created-by": "rest"})
        assert (task.name, task.spec, task.metadata.labels) == (name, wanted, {"velum.dev/created-by": "rest"})
        assert task.metadata.finalizers == (FINALIZER,)
        assert task.metadata.uid
        assert task.metadata.resource_version
        assert task.metadata.generation == 1
        assert task.metadata.creation_timestamp is not None
        assert task.metadata.creation_timestamp.tzinfo is not None
        assert task.status == TaskStatus()
        assert await other.get(name) == task

    async def test_a_name_is_taken_once(self, store: Store, other: Store) -> None:
        first = await made(store)
        with pytest.raises(AlreadyExists) as error:
            await made(other, first.name, filename="second.jpg")
        assert (error.value.kind, error.value.name) == ("task", first.name)
        assert await store.get(first.name) == first

    async def test_of_many_creators_of_one_name_one_wins(self, store: Store, other: Store) -> None:
        name = new_name()
        stores = [store, other] * 4
        outcomes = await asyncio.gather(*(made(each, name) for each in stores), return_exceptions=True)
        assert sorted(type(outcome).__name__ for outcome in outcomes) == ["AlreadyExists"] * 7 + ["AnonymizationTask"]

    @pytest.mark.parametrize("name", ["UPPER", "a/b", "../../etc", "-a", "a..b", "a_b", "x" * 254, "ä"])
    async def test_a_name_that_is_no_host_name_is_refused(self, store: Store, name: str) -> None:
        with pytest.raises(InvalidInput) as error:
            await made(store, name)
        assert error.value.field == "metadata.name"

    async def test_what_does_not_exist_is_named(self, store: Store) -> None:
        with pytest.raises(NotFound) as error:
            await store.get("nobody")
        assert (error.value.kind, error.value.name) == ("task", "nobody")


class Secrets:
    async def test_the_header_is_kept_apart(self, store: Store, other: Store) -> None:
        task = await store.create(new_name(), spec(webhook=WEBHOOK), labels={}, header=HEADER)
        assert task.spec.webhook is not None
        assert task.spec.webhook.header_secret_ref is not None
        assert task.spec.webhook.header_secret_ref.name == f"{task.name}-webhook"
        assert HEADER.value not in repr(task) + repr(HEADER) + task.model_dump_json()
        found = await other.header(task)
        assert found == HEADER

    async def test_without_a_header_there_is_none(self, store: Store) -> None:
        assert await store.header(await made(store)) is None
        assert await store.header(await made(store, webhook=WEBHOOK)) is None

    async def test_a_reference_to_nothing_is_an_error(self, store: Store) -> None:
        task = await made(store, webhook={**WEBHOOK, "headerSecretRef": {"name": "mine"}})
        with pytest.raises(NotFound, match="mine"):
            await store.header(task)

    async def test_a_header_needs_a_webhook(self, store: Store) -> None:
        name = new_name()
        with pytest.raises(InvalidInput) as error:
            await store.create(name, spec(), labels={}, header=HEADER)
        assert error.value.field == "webhook"
        with pytest.raises(NotFound):
            await store.get(name)

    async def test_the_header_goes_with_its_task(self, store: Store) -> None:
        name = new_name()
        first = await store.create(name, spec(webhook=WEBHOOK), labels={}, header=HEADER)
        await removed(store, first)
        with pytest.raises(NotFound):
            await store.header(first)
        other = SecretHeader("Authorization", "Bearer two")
        second = await store.create(name, spec(webhook=WEBHOOK), labels={}, header=other)
        assert await store.header(second) == other


class Deleting:
    async def test_a_record_waits_for_its_finalizer(self, store: Store, other: Store) -> None:
        task = await made(store)
        await store.delete(task.name)
        marked = await other.get(task.name)
        assert marked.deleting
        assert not marked.keeps_files
        await store.delete(task.name)
        assert (await other.get(task.name)).metadata.deletion_timestamp == marked.metadata.deletion_timestamp
        await other.release(marked)
        with pytest.raises(NotFound):
            await store.get(task.name)
        await other.release(marked)  # gone already is fine

    async def test_release_needs_no_newest_version(self, store: Store) -> None:
        task = await made(store)
        await moved(store, task, Phase.RUNNING)
        await store.delete(task.name)
        await store.release(task)
        with pytest.raises(NotFound):
            await store.get(task.name)

    async def test_release_spares_a_successor_of_the_same_name(self, store: Store) -> None:
        task = await made(store)
        await removed(store, task)
        successor = await made(store, task.name)
        await store.delete(task.name)
        await store.release(task)
        assert (await store.get(task.name)).metadata.uid == successor.metadata.uid

    async def test_without_finalizer_it_goes_at_once(self, store: Store) -> None:
        task = await made(store)
        await store.release(task)
        released = await store.get(task.name)
        assert released.metadata.finalizers == ()
        await store.delete(task.name)
        with pytest.raises(NotFound):
            await store.get(task.name)

    async def test_a_finalizer_can_be_added_once_at_the_right_version(self, store: Store) -> None:
        task = await made(store)
        await store.release(task)
        released = await store.get(task.name)
        added = await store.add_finalizer(released)
        assert added.metadata.finalizers == (FINALIZER,)
        assert (await store.add_finalizer(added)).metadata.finalizers == (FINALIZER,)
        with pytest.raises(Conflict):
            await store.add_finalizer(released)

    async def test_files_can_be_kept(self, store: Store) -> None:
        task = await made(store)
        await store.delete(task.name, keep_files=True)
        marked = await store.get(task.name)
        assert marked.metadata.annotations == {KEEP_FILES: "true"}
        assert marked.deleting
        assert marked.keeps_files

    async def test_a_later_wish_to_remove_files_wins(self, store: Store) -> None:
        task = await made(store)
        await store.delete(task.name, keep_files=True)
        await store.delete(task.name)
        assert not (await store.get(task.name)).keeps_files

    async def test_a_later_wish_to_keep_files_comes_too_late(self, store: Store) -> None:
        task = await made(store)
        await store.delete(task.name)
        await store.delete(task.name, keep_files=True)
        assert not (await store.get(task.name)).keeps_files

    async def test_purge_marks_and_keeps(self, store: Store, other: Store) -> None:
        task = await made(store)
        await store.purge(task.name)
        marked = await other.get(task.name)
        assert marked.purges_files
        assert not marked.deleting
        assert marked.metadata.annotations == {PURGE_FILES: "true"}

    async def test_nobody_cannot_be_deleted(self, store: Store) -> None:
        for wish in (store.delete("nobody"), store.delete("nobody", keep_files=True), store.purge("nobody")):
            with pytest.raises(NotFound):
                await wish
