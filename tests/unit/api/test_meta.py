"""Names, times and conditions."""

import re
import time
import uuid
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum.api.conditions import MESSAGE_MAX, Condition, condition, holds, set_condition
from velum.api.meta import new_name, rfc3339

T0 = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


class TestNames:
    def test_is_a_uuid_of_version_7_and_a_dns_name(self) -> None:
        name = new_name()
        assert uuid.UUID(name).version == 7
        assert uuid.UUID(name).variant == uuid.RFC_4122
        assert DNS_SUBDOMAIN.fullmatch(name)

    def test_holds_the_time_of_its_making(self) -> None:
        before = time.time_ns() // 1_000_000
        millis = uuid.UUID(new_name()).int >> 80
        assert before <= millis <= time.time_ns() // 1_000_000

    def test_sorts_by_millisecond_as_text(self, monkeypatch: pytest.MonkeyPatch) -> None:
        millis = iter(range(1_790_000_000_000, 1_790_000_001_000))
        monkeypatch.setattr(time, "time_ns", lambda: next(millis) * 1_000_000)
        names = [new_name() for _ in range(1000)]
        assert names == sorted(names)

    def test_cannot_be_guessed_and_does_not_repeat_within_a_millisecond(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(time, "time_ns", lambda: 1_790_000_000_000_000_000)
        assert len({new_name() for _ in range(10_000)}) == 10_000


class TestTimes:
    @given(
        st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9000, 1, 1)),  # made aware below
        st.integers(-14 * 60, 14 * 60),
    )
    def test_a_time_of_any_zone_comes_back_as_the_same_moment(self, naive: datetime, minutes: int) -> None:
        moment = naive.replace(tzinfo=timezone(timedelta(minutes=minutes)))
        text = rfc3339(moment)
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
        assert datetime.fromisoformat(text) == moment


class TestConditions:
    def test_the_transition_time_moves_only_with_the_status(self) -> None:
        first = set_condition((), "Ready", "False", "Deploying", "a", generation=1, now=T0)
        later = T0 + timedelta(minutes=1)
        same = set_condition(first, "Ready", "False", "DeployFailed", "b", generation=2, now=later)
        other = set_condition(same, "Ready", "True", "Deployed", "c", generation=2, now=later)
        assert [each.last_transition_time for each in (*first, *same, *other)] == [T0, T0, later]
        assert (same[0].reason, same[0].message, same[0].observed_generation) == ("DeployFailed", "b", 2)

    def test_others_stay_as_they_are(self) -> None:
        both = set_condition((), "Complete", "False", "A", "", generation=1, now=T0)
        both = set_condition(both, "Failed", "True", "B", "", generation=1, now=T0)
        changed = set_condition(both, "Complete", "True", "C", "", generation=2, now=T0)
        assert condition(changed, "Failed") == condition(both, "Failed")
        assert {each.type for each in changed} == {"Complete", "Failed"}

    def test_only_true_holds(self) -> None:
        made = set_condition((), "Ready", "Unknown", "A", "", generation=1, now=T0)
        assert not holds(made, "Ready")
        assert not holds(made, "Failed")
        assert holds(set_condition(made, "Ready", "True", "A", "", generation=1, now=T0), "Ready")
        assert condition(made, "Failed") is None

    def test_a_message_without_end_is_cut_rather_than_refused(self) -> None:
        (made,) = set_condition((), "Failed", "True", "A", "x" * (MESSAGE_MAX + 1), generation=1, now=T0)
        assert len(made.message) == MESSAGE_MAX

    @given(st.lists(st.tuples(st.sampled_from(["A", "B"]), st.sampled_from(["True", "False", "Unknown"])), max_size=12))
    def test_history_is_told_truly(self, changes: list[tuple[str, str]]) -> None:
        """The transition time is that of the first of the last run of equal statuses."""
        made: tuple[Condition, ...] = ()
        since: dict[str, tuple[str, datetime]] = {}
        for number, (kind, status) in enumerate(changes):
            now = T0 + timedelta(seconds=number)
            made = set_condition(made, kind, status, "R", "", generation=number, now=now)  # type: ignore[arg-type]
            if since.get(kind, ("", T0))[0] != status:
                since[kind] = (status, now)
        assert {each.type: (each.status, each.last_transition_time) for each in made} == since
