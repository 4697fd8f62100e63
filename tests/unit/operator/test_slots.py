"""Room in the models: never more than there is, oldest first, nobody forgotten."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from support.samples import NOW
from velum_operator.slots import Rank, Slots


def rank(number: int) -> Rank:
    return NOW + timedelta(seconds=number), f"t{number}"


def slots_with(capacity: int) -> tuple[Slots, list[str]]:
    slots, woken = Slots(), []
    slots.wake = woken.append
    slots.resize("m", capacity)
    return slots, woken


def test_who_asks_while_there_is_room_gets_it_unwoken() -> None:
    slots, woken = slots_with(2)
    assert slots.take("m", "t1", rank(1))
    assert slots.take("m", "t1", rank(1))  # asking again is no second place
    assert slots.take("m", "t2", rank(2))
    assert not slots.take("m", "t3", rank(3))
    assert woken == []


def test_an_unknown_model_has_no_room_until_it_gets_some() -> None:
    slots, woken = slots_with(0)
    assert not slots.take("other", "t1", rank(1))
    slots.resize("other", 1)
    assert woken == ["t1"]
    assert slots.take("other", "t1", rank(1))


def test_the_oldest_is_woken_and_its_place_is_kept() -> None:
    slots, woken = slots_with(1)
    slots.take("m", "t0", rank(0))
    for number in (3, 1, 2):
        slots.take("m", f"t{number}", rank(number))
    slots.release("t0")
    assert woken == ["t1"]
    assert not slots.take("m", "t9", rank(9))  # the place is t1's, although it has not come yet
    assert slots.take("m", "t1", rank(1))


def test_a_newcomer_does_not_jump_the_queue_but_an_older_one_goes_first() -> None:
    slots, woken = slots_with(0)
    slots.take("m", "t5", rank(5))
    slots.resize("m", 1)
    assert woken == ["t5"]
    slots.take("m", "t7", rank(7))
    slots.take("m", "t6", rank(6))
    slots.release("t5")
    assert woken == ["t5", "t6"]


def test_who_declines_passes_the_place_on() -> None:
    slots, woken = slots_with(1)
    slots.take("m", "t0", rank(0))
    slots.take("m", "t1", rank(1))
    slots.take("m", "t2", rank(2))
    slots.release("t0")
    slots.release("t1")  # woken, but suspended meanwhile
    assert woken == ["t1", "t2"]


def test_less_room_takes_nothing_away() -> None:
    slots, woken = slots_with(2)
    slots.take("m", "t0", rank(0))
    slots.take("m", "t1", rank(1))
    slots.resize("m", 1)
    assert slots.take("m", "t1", rank(1))
    slots.take("m", "t2", rank(2))
    slots.release("t0")
    assert woken == []
    slots.release("t1")
    assert woken == ["t2"]


def test_closed_gives_nothing_more() -> None:
    slots, woken = slots_with(1)
    slots.take("m", "t0", rank(0))
    slots.take("m", "t1", rank(1))
    slots.close()
    slots.release("t0")
    slots.resize("m", 5)
    assert not slots.take("m", "t2", rank(2))
    assert woken == []


def test_another_model_is_another_place() -> None:
    slots, woken = slots_with(1)
    slots.resize("n", 1)
    slots.take("m", "t0", rank(0))
    slots.take("m", "t1", rank(1))
    assert slots.take("n", "t0", rank(0))
    assert woken == ["t1"]


STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "release", "resize"]), st.integers(0, 6), st.integers(0, 3)), max_size=60
)


@given(STEPS)
def test_never_overbooked_and_never_idle_while_somebody_waits(steps: list[tuple[str, int, int]]) -> None:
    slots, woken = slots_with(1)
    capacity, holding, lined_up = 1, set(), set()
    for what, number, size in steps:
        name, before = f"t{number}", len(holding)
        match what:
            case "take":
                if slots.take("m", name, rank(number)):
                    holding.add(name)
                    lined_up.discard(name)
                elif name not in holding:
                    lined_up.add(name)
            case "release":
                slots.release(name)
                holding.discard(name)
                lined_up.discard(name)
            case "resize":
                slots.resize("m", size)
                capacity = size
        for name in woken:
            assert name in lined_up
            older = [each for each in lined_up if each < name]
            assert all(each in woken for each in older)
            holding.add(name)
            lined_up.discard(name)
        woken.clear()
        assert slots.waiting("m") == len(lined_up)
        assert len(holding) <= max(before, capacity)
        if lined_up:
            assert len(holding) >= capacity
