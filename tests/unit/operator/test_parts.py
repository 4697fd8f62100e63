"""The small parts: desk, liveness, export, notes, readiness, the local loop."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given as each_of
from hypothesis import strategies as st

from support.operatorkit import Counting, settings, storage_of, until, until_async
from support.playedray import PlayedRay
from support.samples import NOW, ManualClock, model_spec, spec, task
from velum.api.meta import ObjectMeta
from velum.api.model import AnonymizationModel
from velum.api.reasons import Reason
from velum.api.status import Phase, ResultFile, TaskResult, TaskStatus, WebhookState, WebhookStatus
from velum.tasks.decision import Note
from velum.tasks.order import NotStarted
from velum_operator.assembly import Operator, new_metrics
from velum_operator.backend import Application
from velum_operator.desk import Desk, newer
from velum_operator.export import targets
from velum_operator.health import serving_health
from velum_operator.liveness import LIMIT, Echo
from velum_operator.local import run_local
from velum_operator.notes import KEPT, Notes
from velum_operator.readiness import MESSAGE_LENGTH, readiness, state_of
from velum_operator.reconcile import worth_writing
from velum_operator.run import Term


class TestVersions:
    @each_of(st.integers(0), st.integers(0))
    def test_numbers_compare_as_numbers(self, one: int, other: int) -> None:
        assert newer(str(one), str(other)) == (one > other)

    def test_what_cannot_be_compared_counts_as_news_unless_it_is_the_same(self) -> None:
        assert newer("7", "")
        assert newer("abc", "7")
        assert not newer("abc", "abc")


class TestDesk:
    def desk(self, **fields: Any) -> Desk:
        return Desk("a", "uid", "1", None, **fields)

    def test_an_outcome_stays_until_the_status_has_it(self) -> None:
        running = TaskStatus(phase=Phase.RUNNING, attempt=3)
        desk = self.desk(outcome=NotStarted("away"), outcome_attempt=3)
        desk.settle(running, running)
        assert desk.outcome is not None
        desk.settle(running, running.model_copy(update={"phase": Phase.PENDING}))
        assert desk.outcome is None

    def test_an_answer_of_the_webhook_stays_until_it_is_written(self) -> None:
        pending = TaskStatus(phase=Phase.COMPLETE, webhook=WebhookStatus())
        desk = self.desk(delivered="answered 500")
        desk.settle(pending, pending)
        assert desk.delivered == "answered 500"
        assert desk.busy
        desk.settle(pending, pending.model_copy(update={"webhook": WebhookStatus(attempts=1)}))
        assert desk.delivered is None
        assert not desk.busy

    def test_a_delivered_one_is_forgotten(self) -> None:
        sent = TaskStatus(phase=Phase.COMPLETE, webhook=WebhookStatus(state=WebhookState.SENT))
        desk = self.desk(delivered="")
        desk.settle(sent, sent)
        assert desk.delivered is None


class TestWorthWriting:
    def test_waiting_is_not(self) -> None:
        assert not worth_writing(TaskStatus(), TaskStatus(observed_generation=1))

    def test_everything_else_is(self) -> None:
        assert worth_writing(TaskStatus(), TaskStatus(observed_generation=1, reason="ModelNotFound"))
        assert worth_writing(TaskStatus(observed_generation=1), TaskStatus(observed_generation=2))
        assert not worth_writing(TaskStatus(observed_generation=1), TaskStatus(observed_generation=1))


class TestEcho:
    def test_what_comes_back_is_alive(self) -> None:
        clock = ManualClock()
        echo = Echo(clock)
        echo.expect("a", "5")
        clock.forward(seconds=10)
        assert echo.behind() == timedelta(seconds=10)
        echo.heard("a", "4")
        assert echo.behind() == timedelta(seconds=10)
        echo.heard("a", "5")
        assert echo.behind() == timedelta()

    def test_the_oldest_silence_counts_and_later_writes_do_not_hide_it(self) -> None:
        clock = ManualClock()
        echo = Echo(clock)
        echo.expect("a", "5")
        for version in range(6, 100):
            clock.forward(seconds=1)
            echo.expect("a", str(version))
            echo.expect(f"b{version}", "1")
            echo.heard(f"b{version}", "1")
        assert echo.behind() == timedelta(seconds=94)
        assert not echo.alive
        assert timedelta(seconds=94) > LIMIT

    def test_a_watch_that_is_faster_than_the_answer(self) -> None:
        echo = Echo(ManualClock())
        echo.heard("a", "5")
        echo.expect("a", "5")
        assert echo.alive
        assert echo.behind() == timedelta()

    def test_what_is_gone_is_not_waited_for(self) -> None:
        clock = ManualClock()
        echo = Echo(clock)
        echo.expect("a", "5")
        echo.gone("a")
        clock.forward(hours=1)
        assert echo.alive


class TestTargets:
    def exported(self, prefix: str = "clean/", **fields: Any) -> dict[str, ResultFile]:
        def file(name: str) -> ResultFile:
            return ResultFile(key=f"tasks/default/one/attempts/u-1/{name}", media_type="x/y", size=1, sha256="")

        result = TaskResult(
            attempt=1,
            anonymised=file("anonymised.jpg"),
            binary_mask=file("binary-mask.png"),
            instance_mask=file("instance-mask.png"),
            metadata=file("metadata.json"),
        )
        return targets(task(TaskStatus(result=result), destination={"prefix": prefix}, **fields))

    def test_names_follow_the_source(self) -> None:
        assert list(self.exported()) == [
            "clean/street.jpg",
            "clean/street.binary-mask.png",
            "clean/street.instance-mask.png",
            "clean/street.metadata.json",
        ]

    @pytest.mark.parametrize("filename", ["..", ".", "...", ".jpg", "..jpg", "a..b", "\u2025"])
    def test_no_name_climbs_out_of_the_destination(self, filename: str) -> None:
        for key in self.exported(filename=filename):
            assert key.startswith("clean/")
            assert ".." not in key.split("/")

    def test_without_a_destination_there_is_nothing_to_copy(self) -> None:
        assert targets(task(TaskStatus(result=TaskResult(attempt=1)))) == {}


class TestNotes:
    async def test_the_oldest_are_dropped_when_the_server_is_slow(self) -> None:
        recorded = []

        class Slow:
            async def record_event(self, _: Any, kind: str, reason: str, message: str) -> None:
                recorded.append(message)

        notes = Notes(Slow())  # type: ignore[arg-type]
        for i in range(KEPT + 10):
            notes.put(task(), Note("Normal", Reason.STARTED, str(i)))
        running = asyncio.create_task(notes.run())
        await until(lambda: notes.idle)
        running.cancel()
        assert recorded == [str(i) for i in range(10, KEPT + 10)]


class TestReadiness:
    def model(self) -> AnonymizationModel:
        return AnonymizationModel(metadata=ObjectMeta(name="default", generation=3), spec=model_spec())

    @pytest.mark.parametrize(
        ("status", "ready", "reason"),
        [
            ("NOT_STARTED", "False", "Deploying"),
            ("DEPLOYING", "False", "Deploying"),
            ("DEPLOY_FAILED", "False", "DeployFailed"),
            ("RUNNING", "True", "Deployed"),
            ("UNHEALTHY", "False", "DeployFailed"),
            ("DELETING", "False", "Deploying"),
            ("A_NEW_WORD", "Unknown", "Deploying"),
        ],
    )
    def test_rays_words(self, status: str, ready: str, reason: str) -> None:
        state = state_of(True, True, Application(status, "why", 2), "")
        assert (state.ready, str(state.reason), state.message, state.replicas) == (ready, reason, "why", 2)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own, at import
    def test_every_word_of_the_installed_ray_is_known(self) -> None:
        from ray.serve.schema import ApplicationStatus

        for word in ApplicationStatus:
            assert state_of(True, True, Application(word.value), "").ready != "Unknown", word

    def test_the_same_state_is_the_same_status(self) -> None:
        model = self.model()
        state = state_of(True, True, Application("RUNNING", "", 1), "")
        status = readiness(model, state, NOW)
        again = model.model_copy(update={"status": status})
        assert readiness(again, state, NOW + timedelta(hours=1)) == status
        assert status.observed_generation == 3

    def test_the_beginning_of_a_long_message_is_kept(self) -> None:
        state = state_of(True, True, Application("DEPLOY_FAILED", "KeyError: the cause" + "x" * 9000), "")
        message = readiness(self.model(), state, NOW).message
        assert len(message) == MESSAGE_LENGTH
        assert message.startswith("KeyError: the cause")

    def test_a_note_follows_the_message_and_leaves_it_room(self) -> None:
        state = state_of(True, True, Application("RUNNING", "", 1, "little room"), "")
        assert readiness(self.model(), state, NOW).message == "takes tasks; little room"
        state = state_of(True, True, Application("DEPLOY_FAILED", "KeyError" + "x" * 9000, 0, "y" * 9000), "")
        message = readiness(self.model(), state, NOW).message
        assert len(message) == MESSAGE_LENGTH
        assert message.startswith("KeyErrorxxx")
        assert "x; yyy" in message

    def test_replicas_that_nobody_counted_are_those_of_before(self) -> None:
        model = self.model()
        counted = readiness(model, state_of(True, True, Application("RUNNING", "", 4), ""), NOW)
        model = model.model_copy(update={"status": counted})
        assert readiness(model, state_of(True, True, Application("RUNNING", "", None), ""), NOW).replicas == 4

    def test_the_endpoint_is_that_of_a_model_that_is_deployed(self) -> None:
        state = state_of(True, True, Application("RUNNING", "", 1), "")
        status = readiness(self.model(), state, NOW, endpoint="http://ray:8000/default", endpoints=2)
        assert (status.endpoint, status.endpoints) == ("http://ray:8000/default", 2)
        idle = readiness(self.model(), state_of(False, True, None, ""), NOW, endpoint="http://ray:8000/default")
        assert (idle.endpoint, idle.endpoints) == ("", None)


class TestHealthPages:
    async def test_trouble_is_503_with_the_reason(self, unused_tcp_port: int) -> None:
        registry, metrics = new_metrics()
        metrics.attempts.labels("failed").inc()
        trouble = ""
        url = f"http://127.0.0.1:{unused_tcp_port}"
        async with (
            serving_health("127.0.0.1", unused_tcp_port, registry, lambda: trouble),
            aiohttp.ClientSession(url) as http,
        ):
            async with http.get("/healthz") as answer:
                assert answer.status == 200
            trouble = "the watch is 91 s behind"
            async with http.get("/healthz") as answer:
                assert (answer.status, await answer.text()) == (503, "the watch is 91 s behind\n")
            async with http.get("/metrics") as answer:
                assert 'velum_attempts_total{result="failed"} 1.0' in await answer.text()

    async def test_by_default_they_are_on_every_address(self, unused_tcp_port: int) -> None:
        registry, _ = new_metrics()
        async with serving_health(None, unused_tcp_port, registry, lambda: ""), aiohttp.ClientSession() as http:
            for host in ("127.0.0.1", "[::1]"):
                async with http.get(f"http://{host}:{unused_tcp_port}/healthz") as answer:
                    assert answer.status == 200, host

    def test_an_operator_is_alive_while_its_watch_is(self) -> None:
        clock = ManualClock()
        term, echo = Term(), Echo(clock)
        assert term.trouble() == ""  # it waits for the lease
        term.operator = Operator(None, None, None, echo)  # type: ignore[arg-type]
        echo.expect("lease/velum-operator", "7")
        assert term.trouble() == ""
        clock.forward(seconds=91)
        assert "91 s behind" in term.trouble()
        echo.heard("lease/velum-operator", "7")
        assert term.trouble() == ""


class TestLocal:
    async def test_everything_together_without_kopf(self, store: Counting, tmp_path: Path) -> None:
        """`velum up` but for Ray: the store's own watch, HTTP to a played Ray, a graceful end."""
        async with PlayedRay() as ray:
            given = settings(tmp_path, serving={"dashboard": ray.url, "url": ray.url})
            storage = storage_of(given)
            ray.outputs = storage.outputs
            stop, (registry, metrics) = asyncio.Event(), new_metrics()
            running = asyncio.create_task(run_local(store, storage, given, metrics, stop=stop))  # type: ignore[arg-type]
            await store.create("early", spec(), labels={})
            await until_async(lambda: _is(store, "early", lambda t: t.status.reason == "ModelNotFound"))
            await store.put_model("default", model_spec())
            await store.create("late", spec(), labels={})
            for name in ("early", "late"):
                await until_async(lambda n=name: _is(store, n, lambda t: t.status.complete))
            await until(lambda: registry.get_sample_value("velum_tasks", {"condition": "complete"}) == 2)
            stop.set()
            await running
            assert len(ray.configs) == 1

    async def test_a_store_without_an_identity_is_refused(self, tmp_path: Path) -> None:
        """It would sweep storage as if it were its own."""
        given = settings(tmp_path)
        with pytest.raises(TypeError, match="no identity"):
            await run_local(object(), storage_of(given), given, new_metrics()[1])  # type: ignore[arg-type]


async def _is(store: Any, name: str, holds: Any) -> bool:
    return bool(holds(await store.get(name)))
