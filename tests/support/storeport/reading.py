"""Lists and watches of tasks."""

import asyncio
import itertools
from contextlib import AsyncExitStack, aclosing

import pytest

from support.storeport.steps import Seen, made, moved, removed
from velum.api.meta import new_name
from velum.api.status import Phase
from velum.errors import InvalidInput
from velum.tasks import store as port
from velum.tasks.store import Store, every


class Listing:
    async def test_pages_cover_all_in_order(self, store: Store, other: Store) -> None:
        names = sorted([new_name() for _ in range(7)])
        for name in names:
            await made(store, name)
        for limit in (1, 2, 3, 7, 100):
            listed: list[str] = []
            cursor: str | None = None
            while True:
                page = await other.list(limit=limit, cursor=cursor)
                assert len(page.tasks) <= limit
                listed += [task.name for task in page.tasks]
                cursor = page.cursor
                if cursor is None:
                    break
            assert listed == names

    async def test_every_one_is_read_page_by_page(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        assert [task async for task in every(store)] == []
        tasks = [await made(store, name) for name in sorted(new_name() for _ in range(5))]
        failed = [await moved(store, task, Phase.FAILED) for task in tasks[1:4]]
        for size in (1, 2, 3, 5, 500):
            monkeypatch.setattr(port, "PAGE", size)
            assert [task async for task in every(store)] == [tasks[0], *failed, tasks[4]]
            assert [task async for task in every(store, [Phase.FAILED])] == failed

    async def test_pages_stay_right_while_tasks_go(self, store: Store) -> None:
        tasks = [await made(store, name) for name in sorted(new_name() for _ in range(5))]
        first = await store.list(limit=2)
        for task in tasks[:3]:
            await removed(store, task)
        rest = await store.list(limit=10, cursor=first.cursor)
        listed = [task.name for task in rest.tasks]
        # Whether the third is still listed is the store's choice (a snapshot, or what is there now).
        assert [name for name in listed if name != tasks[2].name] == [task.name for task in tasks[3:]]

    async def test_every_choice_of_phases(self, store: Store) -> None:
        fresh = await made(store)
        of_phase = {phase: [(await moved(store, await made(store), phase)).name] for phase in Phase}
        of_phase[Phase.PENDING].append(fresh.name)
        choices = [(p,) for p in Phase] + list(itertools.combinations(Phase, 2)) + [tuple(Phase)]
        for choice in choices:
            page = await store.list(phases=choice)
            assert {task.name for task in page.tasks} == {name for p in choice for name in of_phase[p]}, choice

    async def test_phases_and_pages_together(self, store: Store) -> None:
        tasks = [await made(store, name) for name in sorted(new_name() for _ in range(6))]
        for task in tasks[::2]:
            await moved(store, task, Phase.FAILED)
        first = await store.list(phases=[Phase.FAILED], limit=2)
        second = await store.list(phases=[Phase.FAILED], limit=2, cursor=first.cursor)
        assert [t.name for t in (*first.tasks, *second.tasks)] == [t.name for t in tasks[::2]]
        assert second.cursor is None

    @pytest.mark.parametrize("cursor", ["nonsense", "e30=", "", "ä", "W10="])
    async def test_a_strange_cursor_is_refused(self, store: Store, cursor: str) -> None:
        with pytest.raises(InvalidInput) as error:
            await store.list(cursor=cursor)
        assert error.value.field == "cursor"

    async def test_a_page_holds_at_least_one(self, store: Store) -> None:
        with pytest.raises(InvalidInput) as error:
            await store.list(limit=0)
        assert error.value.field == "limit"

    async def test_unfinished_are_counted(self, store: Store, other: Store) -> None:
        assert await store.count_unfinished() == 0
        await made(store)
        for phase in Phase:
            await moved(store, await made(store), phase)
        assert await other.count_unfinished() == 4  # two pending, one running, one suspended


class Watching:
    async def test_first_what_is_there_then_what_happens(self, store: Store, other: Store) -> None:
        old = await made(store)
        async with aclosing(other.watch()) as events:
            seen = await Seen(events, lambda e: e.task).until(lambda s: old.name in s.present)
            assert seen.present[old.name] == old
            new = await made(store)
            await seen.until(lambda s: new.name in s.present)
            running = await moved(store, new, Phase.RUNNING)
            await seen.until(lambda s: s.present[new.name] == running)
            await store.delete(new.name)
            await seen.until(lambda s: s.present[new.name].deleting)
            await store.release(running)
            await seen.until(lambda s: new.name not in s.present)
            assert seen.log[-1] == ("gone", new.name, new.metadata.uid)
            assert seen.present == {old.name: old}

    async def test_several_watch_at_once(self, store: Store, other: Store) -> None:
        async with AsyncExitStack() as stack:
            watches = [await stack.enter_async_context(aclosing(each.watch())) for each in (store, store, other)]
            task = await made(store)
            for events in watches:
                await Seen(events, lambda e: e.task).until(lambda s: s.present == {task.name: task})

    async def test_a_watch_can_end_and_begin_again(self, store: Store, other: Store) -> None:
        first = await made(store)
        async with aclosing(store.watch()) as events:
            await Seen(events, lambda e: e.task).until(lambda s: first.name in s.present)
        await removed(other, first)
        second = await made(other)
        async with aclosing(store.watch()) as events:
            seen = await Seen(events, lambda e: e.task).until(lambda s: second.name in s.present)
        assert seen.present == {second.name: second}

    async def test_a_successor_of_the_same_name_is_told_apart(self, store: Store, other: Store) -> None:
        first = await made(store)
        async with aclosing(other.watch()) as events:
            seen = await Seen(events, lambda e: e.task).until(lambda s: first.name in s.present)
            await removed(store, first)
            second = await made(store, first.name)
            await seen.until(lambda s: s.present.get(first.name) == second)
            assert ("gone", first.name, first.metadata.uid) in seen.log

    async def test_under_load_the_watch_ends_where_the_list_ends(self, store: Store, other: Store) -> None:
        async with aclosing(other.watch()) as events:
            seen = Seen(events, lambda e: e.task)

            async def life(number: int) -> None:
                task = await made(store if number % 2 else other)
                for phase in (Phase.RUNNING, Phase.PENDING, Phase.RUNNING)[: number % 4]:
                    task = await moved(other if number % 3 else store, task, phase)
                if number % 5 == 0:
                    await removed(store, task)

            await asyncio.gather(*(life(number) for number in range(20)))
            expected = {task.name: task for task in (await store.list()).tasks}
            assert len(expected) == 16
            await seen.until(lambda s: s.present == expected)
