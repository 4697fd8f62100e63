"""Models and Ray: what is deployed when, what is written about it, and what tasks are told. Ray is played over HTTP."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from support.operatorkit import Counting, settings, storage_of
from support.playedray import PlayedRay
from support.samples import ManualClock, model_spec, spec
from velum.api.conditions import READY, condition
from velum.errors import Unavailable
from velum.settings import ServingSettings, Settings
from velum.tasks.store import ModelEvent
from velum_operator.metrics import ControllerMetrics
from velum_operator.models import IDLE_SECONDS, SOON_SECONDS, ModelKeeper
from velum_operator.rayapi import RayClient
from velum_operator.serving import capacity
from velum_operator.slots import Slots

TOKEN = "ray-token"


class Kept:
    """A keeper and what a test looks at."""

    def __init__(self, keeper: ModelKeeper, slots: Slots, store: Counting, registry: CollectorRegistry) -> None:
        self.keeper = keeper
        self.slots = slots
        self.store = store
        self.registry = registry
        self.changed: list[str] = []
        keeper.changed = self.changed.append

    async def ready(self, name: str = "default") -> tuple[str, str]:
        model = await self.store.get_model(name)
        found = condition(model.status.conditions, READY)
        assert found is not None
        return found.status, found.reason

    def room(self, name: str = "default") -> bool:
        """Whether an attempt would be handed out now."""
        got = self.slots.take(name, "probe", (ManualClock().now(), "probe"))
        self.slots.release("probe")
        return got


@pytest.fixture
async def ray(tmp_path: Path) -> AsyncIterator[PlayedRay]:
    async with PlayedRay(storage_of(settings(tmp_path)).outputs, token=TOKEN) as ray:
        yield ray


@pytest.fixture
def given(tmp_path: Path, ray: PlayedRay) -> Settings:
    return settings(tmp_path, serving={"dashboard": ray.url, "url": ray.url, "token": TOKEN})


@asynccontextmanager
async def kept(store: Counting, given: Settings, clock: ManualClock | None = None) -> AsyncIterator[Kept]:
    registry, slots = CollectorRegistry(), Slots()
    async with RayClient(given.serving) as client:
        keeper = ModelKeeper(store, client, slots, clock or ManualClock(), given, ControllerMetrics(registry))
        await keeper.start()
        yield Kept(keeper, slots, store, registry)


@asynccontextmanager
async def wanted(store: Counting, given: Settings, clock: ManualClock | None = None) -> AsyncIterator[Kept]:
    """With the model `default` in the store, and a task that needs it."""
    await store.put_model("default", model_spec())
    async with kept(store, given, clock) as k:
        k.keeper.want("default")
        yield k


class TestDeploying:
    async def test_nothing_is_deployed_that_no_task_needs(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        await store.put_model("default", model_spec())
        async with kept(store, given) as k:
            assert await k.keeper.look() == IDLE_SECONDS
            assert ray.configs == []
            assert await k.ready() == ("Unknown", "Idle")

    async def test_the_first_task_deploys_its_model_and_no_other(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        await store.put_model("other", model_spec())
        async with wanted(store, given) as k:
            assert not k.room()
            assert await k.keeper.look() == IDLE_SECONDS
            assert [app["name"] for app in ray.configs[0]["applications"]] == ["default"]
            assert await k.ready() == ("True", "Deployed")
            assert (await store.get_model("default")).status.replicas == 1
            assert (await store.get_model("default")).status.observed_generation == 1
            assert await k.ready("other") == ("Unknown", "Idle")
            assert k.room()
            assert not k.room("other")

    async def test_it_is_put_once_and_status_is_written_once(
        self, store: Counting, given: Settings, ray: PlayedRay, clock: ManualClock
    ) -> None:
        async with wanted(store, given, clock) as k:
            for _ in range(5):
                await k.keeper.look()
                clock.forward(seconds=10)
            assert len(ray.configs) == 1
            assert store.count("write_model_status") == 1
            assert k.registry.get_sample_value("velum_serving_applies_total", {"result": "ok"}) == 1

    async def test_no_room_while_it_is_being_deployed(self, store: Counting, given: Settings, ray: PlayedRay) -> None:
        ray.say("default", "DEPLOYING")
        async with wanted(store, given) as k:
            assert await k.keeper.look() == SOON_SECONDS
            assert await k.ready() == ("False", "Deploying")
            assert not k.room()
            ray.say("default", "RUNNING")
            assert await k.keeper.look() == IDLE_SECONDS
            assert k.room()

    async def test_room_stays_while_a_replica_is_replaced_or_the_config_updated(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        async with wanted(store, given) as k:
            await k.keeper.look()
            for status in ("UNHEALTHY", "DEPLOYING"):
                ray.say("default", status)
                await k.keeper.look()
                assert k.room()

    async def test_a_failed_deployment_says_why_and_takes_no_tasks(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        ray.say("default", "DEPLOY_FAILED", "ClassNotFound: no loaded pack finds person")
        async with wanted(store, given) as k:
            await k.keeper.look()
            assert await k.ready() == ("False", "DeployFailed")
            assert "no loaded pack finds person" in (await store.get_model("default")).status.message
            assert not k.room()

    async def test_tasks_are_told_that_their_model_failed_and_that_it_does_no_more(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        ray.say("default", "DEPLOY_FAILED", "try 1")
        async with wanted(store, given) as k:
            k.changed.clear()
            await k.keeper.look()
            assert k.changed == ["default"]
            seen, told = k.keeper.view(spec())
            assert seen == "failed"
            assert "'default'" in told
            ray.say("default", "DEPLOY_FAILED", "try 2")
            await k.keeper.look()
            assert k.keeper.view(spec()) == ("failed", told)  # the same words: no write for every task that waits
            await ray.stop()
            await k.keeper.look()
            assert k.keeper.view(spec()) == ("failed", told)
            await ray.start()
            assert k.changed == ["default"]
            ray.say("default", "RUNNING")
            await k.keeper.look()
            assert k.changed == ["default"] * 2
            assert k.keeper.view(spec()) == ("known", "")

    async def test_a_replica_that_is_replaced_is_no_failed_model(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        ray.say("default", "UNHEALTHY", "replica died")
        async with wanted(store, given) as k:
            await k.keeper.look()
            assert k.keeper.view(spec()) == ("known", "")

    async def test_a_model_of_which_no_replica_starts_has_failed(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        """Ray calls it unhealthy when that happens while it scales up from nothing."""
        ray.trigger = "REPLICA_STARTUP_FAILED"
        ray.say("default", "UNHEALTHY", "The deployment failed to start 3 times in a row. Error: PackDamaged")
        async with wanted(store, given) as k:
            await k.keeper.look()
            assert await k.ready() == ("False", "DeployFailed")
            assert k.keeper.view(spec())[0] == "failed"
            assert not k.room()

    async def test_no_room_where_nothing_has_started(self, store: Counting, given: Settings, ray: PlayedRay) -> None:
        async with wanted(store, given) as k:
            await k.keeper.look()
            assert k.room()
            ray.say("default", "NOT_STARTED")
            await k.keeper.look()
            assert not k.room()
            assert await k.ready() == ("False", "Deploying")

    async def test_the_status_names_where_work_goes_while_it_is_deployed(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        async with wanted(store, given) as k:
            await k.keeper.look()
            status = (await store.get_model("default")).status
            assert status.endpoint == f"{ray.url}/default"
            assert status.endpoints is None  # nobody counts them here
            await ray.stop()
            await k.keeper.look()
            assert (await store.get_model("default")).status.endpoint == ""

    async def test_trouble_is_logged_once_and_its_end_too(
        self, store: Counting, given: Settings, ray: PlayedRay, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "velum_operator.models")
        ray.say("default", "DEPLOY_FAILED", "no loaded pack finds person")
        async with wanted(store, given) as k:
            for _ in range(3):
                await k.keeper.look()
            assert warnings(caplog) == ["model default: DeployFailed: no loaded pack finds person"]
            caplog.clear()
            await ray.stop()
            for _ in range(3):
                await k.keeper.look()
            away, model = warnings(caplog)
            assert model == f"model default: RayUnavailable: {away}"
            await ray.start()
            caplog.clear()
            ray.say("default", "RUNNING")
            for _ in range(2):
                await k.keeper.look()
            assert warnings(caplog) == []
            assert caplog.text.count("model default: Deployed: ") == 1

    async def test_a_refused_config_is_not_put_again_at_once(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        ray.refuse = "ValidationError: num_gpus"
        async with wanted(store, given) as k:
            await k.keeper.look()
            await k.keeper.look()
            assert len(ray.configs) == 1
            assert await k.ready() == ("False", "DeployFailed")
            assert "num_gpus" in (await store.get_model("default")).status.message
            ray.refuse = ""
            model = await store.put_model("default", model_spec(threads=2))  # somebody mends it
            k.keeper.observe(ModelEvent("present", model))
            await k.keeper.look()
            assert await k.ready() == ("True", "Deployed")


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


class TestChanges:
    async def test_a_changed_spec_is_put_and_a_changed_status_is_not(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        async with wanted(store, given) as k:
            await k.keeper.look()
            k.keeper.observe(ModelEvent("present", await store.get_model("default")))
            await k.keeper.look()
            assert len(ray.configs) == 1
            model = await store.put_model("default", model_spec(scale={"maxReplicas": 5}))
            k.keeper.observe(ModelEvent("present", model))
            await k.keeper.look()
            assert len(ray.configs) == 2
            assert (await store.get_model("default")).status.observed_generation == 2
            names = [f"t{i:02}" for i in range(50)]
            got = [k.slots.take("default", name, (ManualClock().now(), name)) for name in names]
            assert sum(got) == capacity(model) == 40

    async def test_a_removed_model_leaves_ray_and_takes_no_tasks(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        await store.put_model("street", model_spec())
        async with wanted(store, given) as k:
            k.keeper.want("street")
            await k.keeper.look()
            assert set(ray.applications) == {"default", "street"}
            k.keeper.observe(ModelEvent("gone", await store.get_model("street")))
            await k.keeper.look()
            assert set(ray.applications) == {"default"}
            assert not k.room("street")
            assert k.changed[-1] == "street"

    async def test_the_last_model_leaves_an_empty_ray(self, store: Counting, given: Settings, ray: PlayedRay) -> None:
        async with wanted(store, given) as k:
            await k.keeper.look()
            k.keeper.observe(ModelEvent("gone", await store.get_model("default")))
            await k.keeper.look()
            assert ray.configs[-1]["applications"] == []

    async def test_a_new_controller_keeps_what_is_deployed(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        async with wanted(store, given) as k:
            await k.keeper.look()
        async with kept(store, given) as k:
            await k.keeper.look()
            assert set(ray.applications) == {"default"}
            assert k.room()

    async def test_old_news_changes_nothing(self, store: Counting, given: Settings) -> None:
        old = await store.put_model("default", model_spec())
        await store.put_model("default", model_spec(classes=["face", "person"]))
        async with kept(store, given) as k:
            k.keeper.observe(ModelEvent("present", old))
            assert k.keeper.view(spec(classes={"person": {}})) == ("known", "")


class TestRayGone:
    async def test_tasks_wait_and_go_on(self, store: Counting, given: Settings, ray: PlayedRay) -> None:
        async with wanted(store, given) as k:
            await k.keeper.look()
            await ray.stop()
            assert await k.keeper.look() == SOON_SECONDS
            assert await k.ready() == ("Unknown", "RayUnavailable")
            assert ray.url in (await store.get_model("default")).status.message
            assert not k.room()
            await ray.start()
            await k.keeper.look()
            assert await k.ready() == ("True", "Deployed")
            assert k.room()
            assert len(ray.configs) == 1  # it remembered

    async def test_a_ray_that_was_restarted_is_told_again(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        async with wanted(store, given) as k:
            await k.keeper.look()
            await ray.stop(forget=True)
            await ray.start()
            await k.keeper.look()
            assert len(ray.configs) == 2
            assert k.room()

    async def test_a_wrong_token_is_named(self, store: Counting, tmp_path: Path, ray: PlayedRay) -> None:
        given = settings(tmp_path, serving={"dashboard": ray.url, "token": "wrong"})
        async with wanted(store, given) as k:
            await k.keeper.look()
            message = (await store.get_model("default")).status.message
            assert "VELUM_SERVING_TOKEN" in message
            assert "wrong" not in message

    async def test_the_store_away_does_not_stop_the_keeper(
        self, store: Counting, given: Settings, ray: PlayedRay
    ) -> None:
        async with wanted(store, given) as k:
            store.fail["write_model_status"] = [Unavailable("API server", "away")]
            await k.keeper.look()
            assert k.room()
            await k.keeper.look()
            assert await k.ready() == ("True", "Deployed")

    async def test_nonsense_is_unavailable(self, given: Settings, ray: PlayedRay) -> None:
        ray.applications = {"default": "RUNNING"}  # type: ignore[dict-item]
        async with RayClient(given.serving) as client:
            with pytest.raises(Unavailable, match="makes no sense"):
                await client.deployed()

    async def test_a_closed_client_says_so(self) -> None:
        with pytest.raises(Unavailable, match="closed"):
            await RayClient(ServingSettings()).deployed()


class TestViews:
    async def test_a_missing_model_names_the_known_ones(self, store: Counting, given: Settings) -> None:
        await store.put_model("street", model_spec())
        async with kept(store, given) as k:
            kind, message = k.keeper.view(spec())
            assert kind == "missing"
            assert "'default'" in message
            assert "street" in message
            k.keeper.want("default")  # wanting what does not exist deploys nothing
            await k.keeper.look()

    async def test_a_lacking_class_names_the_command_that_gets_it(self, store: Counting, given: Settings) -> None:
        await store.put_model("default", model_spec())
        async with kept(store, given) as k:
            kind, message = k.keeper.view(spec(classes={"face": {}, "licensePlate": {}, "person": {}}))
            assert kind == "lacks-class"
            assert "license-plate, person" in message
            assert "velum-street" in message

    async def test_who_waits_is_told_when_it_appears(self, store: Counting, given: Settings) -> None:
        async with kept(store, given) as k:
            assert k.keeper.view(spec())[0] == "missing"
            model = await store.put_model("default", model_spec())
            k.keeper.observe(ModelEvent("present", model))
            assert k.changed == ["default"]
            assert k.keeper.view(spec()) == ("known", "")
