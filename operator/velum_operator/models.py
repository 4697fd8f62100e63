"""Keeping Ray Serve in line with the models that tasks need.

One loop looks at Ray, puts the config when it has to, and writes each model's `Ready` condition. A model is deployed
when the first task needs it (under KubeRay: at once) and stays as long as its resource exists: Serve scales it to zero
replicas when it is idle, and keeping the application makes the next start quick. The config is put only when its hash
changed, when Ray lost an application (it was restarted), or when the backend says that something else stands there.

Room in a model (`velum_operator.slots`) is opened when Ray says that its application runs, and closed while Ray is
away. So tasks wait in the queue instead of spending attempts on a server that is not there.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress

from velum.api.model import AnonymizationModel
from velum.api.reasons import Reason
from velum.api.task import TaskSpec
from velum.clock import Clock
from velum.errors import Conflict, NotFound, Unavailable
from velum.settings import Settings
from velum.shipped import way_to
from velum.tasks.store import ModelEvent, ModelStore
from velum_operator.backend import Application, Deployed, ServingBackend
from velum_operator.desk import newer
from velum_operator.errors import ServingRefused
from velum_operator.metrics import ControllerMetrics
from velum_operator.readiness import CLOSED, SERVING, State, readiness, state_of
from velum_operator.reconcile import Seen
from velum_operator.serving import build_serving_config, capacity, config_hash
from velum_operator.slots import Slots

log = logging.getLogger(__name__)

SOON_SECONDS = 1.0
"""Between looks while a model is being deployed, or Ray is away: somebody waits."""

IDLE_SECONDS = 10.0
"""Between looks else."""

REFUSED_SECONDS = 30.0
"""Between tries with a config that Ray refused: only a change of it or of Ray's installation can help."""

TROUBLE = frozenset({Reason.DEPLOY_FAILED, Reason.RAY_UNAVAILABLE})
"""What is logged when a model comes to it: somebody has to do something."""


class ModelKeeper:
    """Knows the models, deploys them, and writes their status. `changed` is called with a model that tasks wait for."""

    def __init__(
        self,
        store: ModelStore,
        ray: ServingBackend,
        slots: Slots,
        clock: Clock,
        settings: Settings,
        metrics: ControllerMetrics,
    ) -> None:
        self._store = store
        self._ray = ray
        self._slots = slots
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._models: dict[str, AnonymizationModel] = {}
        self._wanted: set[str] = set()
        self._opened: set[str] = set()
        self._failed: set[str] = set()
        self._told: dict[str, tuple[Reason, str]] = {}
        self._away = ""
        self._applied = ""
        self._refused: tuple[str, float, str] = ("", 0.0, "")
        self._look = asyncio.Event()
        self.changed: Callable[[str], None] = lambda _: None

    async def start(self) -> None:
        """Read the models that exist, so that the first tasks are not told that there are none. Raises Unavailable."""
        for model in await self._store.list_models():
            self.observe(ModelEvent("present", model))

    def observe(self, event: ModelEvent) -> None:
        """Take in what the watch shows."""
        model = event.model
        known = self._models.get(model.name)
        if event.kind == "gone":
            if known is not None and known.metadata.uid == model.metadata.uid:
                del self._models[model.name]
                self._wanted.discard(model.name)
                self._failed.discard(model.name)
                self._told.pop(model.name, None)
                self._close(model.name)
                self.changed(model.name)
                self._look.set()
            return
        same = known is not None and known.metadata.uid == model.metadata.uid
        if same and known is not None and not newer(model.metadata.resource_version, known.metadata.resource_version):
            return
        self._models[model.name] = model
        if not same or known is None or known.spec != model.spec:
            if model.name in self._opened:
                self._slots.resize(model.name, capacity(model))
            self.changed(model.name)
            self._look.set()

    # What the controller asks

    def view(self, spec: TaskSpec) -> Seen:
        """Return whether the task's model exists, serves its classes, can be deployed; what to tell people if not."""
        model = self._models.get(spec.model)
        if model is None:
            known = ", ".join(sorted(self._models)) or "none"
            return "missing", f"no AnonymizationModel {spec.model!r}; there are: {known}"
        lacking = [name for name in spec.classes.names() if name not in model.spec.classes]
        if lacking:
            return "lacks-class", _lacks(model, lacking)
        if model.name in self._failed:
            # Without Ray's own words: they change from try to try, and each change would be a write for every task.
            return "failed", f"model {model.name!r} could not be deployed; its own status says why"
        return "known", ""

    def want(self, name: str) -> None:
        """Have this model deployed: a task waits for it."""
        if name in self._models and name not in self._wanted:
            self._wanted.add(name)
            self._look.set()

    def suspect(self) -> None:
        """Look at Ray now: an order was not taken or got lost."""
        self._look.set()

    # The loop

    async def run(self) -> None:
        """Keep Ray in line until cancelled."""
        while True:
            self._look.clear()
            pause = await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._look.wait()

    async def look(self) -> float:
        """Bring Ray and the models' statuses in line once; return the seconds until the next look."""
        if self._ray.in_advance:
            self._wanted.update(self._models)
        try:
            deployed = await self._ray.deployed()
            if await self._apply(deployed):
                deployed = await self._ray.deployed()
        except Unavailable as error:
            if self._away != str(error):
                log.warning("%s", error)
            self._away = str(error)
            await self._report(None, str(error))
            return SOON_SECONDS if self._wanted else IDLE_SECONDS
        self._away = ""
        await self._report(deployed, self._refused[2])
        waiting = any(_waiting(deployed.applications.get(name)) for name in self._wanted)
        return SOON_SECONDS if waiting else IDLE_SECONDS

    async def _apply(self, deployed: Deployed) -> bool:
        """Put the config if it has to be; tell whether it was put."""
        self._wanted.update(name for name in deployed.applications if name in self._models)
        serve = [self._models[name] for name in sorted(self._wanted) if name in self._models]
        if not (serve or deployed.applications or deployed.stale):
            return False
        config = build_serving_config(serve, self._settings)
        digest = config_hash(config)
        lost = deployed.stale or any(model.name not in deployed.applications for model in serve)
        if digest == self._applied and not lost:
            return False
        if digest == self._refused[0] and time.monotonic() < self._refused[1]:
            return False
        try:
            await self._ray.apply(config)
        except ServingRefused as error:
            log.error("Ray Serve refuses the config: %s", error)
            self._refused = (digest, time.monotonic() + REFUSED_SECONDS, str(error))
            self._metrics.applies.labels("failed").inc()
            return False
        except Unavailable:
            self._metrics.applies.labels("failed").inc()
            raise
        log.info("Ray Serve now serves: %s", ", ".join(model.name for model in serve) or "nothing")
        self._applied, self._refused = digest, ("", 0.0, "")
        self._metrics.applies.labels("ok").inc()
        return True

    async def _report(self, deployed: Deployed | None, trouble: str) -> None:
        for model in list(self._models.values()):
            application = deployed.applications.get(model.name) if deployed is not None else None
            if application is not None and application.status in SERVING:
                self._open(model)
            elif deployed is None or application is None or application.status in CLOSED:
                self._close(model.name)
            state = state_of(model.name in self._wanted, deployed is not None, application, trouble)
            self._tell(model.name, state)
            if deployed is not None:  # while Ray is away, what it said last holds
                self._judge(model.name, state.reason is Reason.DEPLOY_FAILED and model.name not in self._opened)
            await self._write(model, state, deployed.endpoints if deployed is not None else None)

    def _tell(self, name: str, state: State) -> None:
        """Log it when a model gets into trouble, and out of it: once per change, not at every look."""
        told, now = self._told.get(name), (state.reason, state.message)
        self._told[name] = now
        if state.reason in TROUBLE and told != now:
            log.warning("model %s: %s: %s", name, *now)
        elif told is not None and told[0] in TROUBLE and state.reason not in TROUBLE:
            log.info("model %s: %s: %s", name, *now)

    def _judge(self, name: str, failed: bool) -> None:
        """Note whether the model cannot be deployed; the tasks that wait for it say so."""
        if failed is not (name in self._failed):
            self._failed ^= {name}
            self.changed(name)

    async def _write(self, model: AnonymizationModel, state: State, endpoints: int | None) -> None:
        endpoint = f"{self._settings.serving.url.rstrip('/')}/{model.name}"
        status = readiness(model, state, self._clock.now(), endpoint=endpoint, endpoints=endpoints)
        if status == model.status:
            return
        try:
            written = await self._store.write_model_status(model, status)
        except (Conflict, NotFound):
            return  # the watch brings what changed, and the next look writes
        except Unavailable as error:
            log.warning("status of model %s: %s", model.name, error)
            return
        self.observe(ModelEvent("present", written))

    def _open(self, model: AnonymizationModel) -> None:
        self._opened.add(model.name)
        self._slots.resize(model.name, capacity(model))

    def _close(self, name: str) -> None:
        self._opened.discard(name)
        self._slots.resize(name, 0)


def _waiting(application: Application | None) -> bool:
    return application is None or application.status not in {"RUNNING", "DEPLOY_FAILED"}


def _lacks(model: AnonymizationModel, lacking: list[str]) -> str:
    served = ", ".join(model.spec.classes)
    return f"model {model.name!r} does not find {', '.join(lacking)}, only {served}; {way_to(lacking)}"
