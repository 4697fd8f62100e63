"""From Ray's words about an application to a model's status. Pure."""

from dataclasses import dataclass
from datetime import datetime

from velum.api.conditions import READY, ConditionStatus, set_condition
from velum.api.model import AnonymizationModel, ModelStatus
from velum.api.reasons import Reason
from velum_operator.backend import Application

MESSAGE_LENGTH = 2048
"""As the CRD bounds it. What is longer is cut at its end: an error begins with what it is (`raywords.cause`)."""

SERVING = frozenset({"RUNNING", "UNHEALTHY"})
"""Ray's words for an application that is given work. UNHEALTHY: a replica died and is being replaced."""

CLOSED = frozenset({"NOT_STARTED", "DEPLOY_FAILED"})
"""Ray's words for an application that is given no more work. With any other the room stays as it is: one that is being
updated still serves."""


@dataclass(frozen=True)
class State:
    """How a model stands."""

    ready: ConditionStatus
    reason: Reason
    message: str
    replicas: int | None = 0
    observed: bool = False
    note: str = ""


_WORDS: dict[str, tuple[ConditionStatus, Reason, str]] = {
    "NOT_STARTED": ("False", Reason.DEPLOYING, "waits to be deployed"),
    "DEPLOYING": ("False", Reason.DEPLOYING, "is being deployed"),
    "DEPLOY_FAILED": ("False", Reason.DEPLOY_FAILED, "could not be deployed"),
    "RUNNING": ("True", Reason.DEPLOYED, "takes tasks"),
    "UNHEALTHY": ("False", Reason.DEPLOY_FAILED, "a replica died and is being replaced"),
    "DELETING": ("False", Reason.DEPLOYING, "is being replaced"),
}
"""Ray's ApplicationStatus → condition, reason, words used when Ray gives none."""


def state_of(wanted: bool, reachable: bool, application: Application | None, trouble: str) -> State:
    """Return how a model stands.

    Args:
        wanted: a task has needed it.
        reachable: Ray answered.
        application: what Ray says about it, None when Ray does not know it.
        trouble: why Ray did not answer or did not take the config, else empty.
    """
    if not wanted:
        return State("Unknown", Reason.IDLE, "no task has needed it yet; it is deployed when one does")
    if not reachable:
        return State("Unknown", Reason.RAY_UNAVAILABLE, trouble)
    if application is None:
        if trouble:
            return State("False", Reason.DEPLOY_FAILED, trouble)
        return State("False", Reason.DEPLOYING, "waits to be deployed")
    ready, reason, words = _WORDS.get(application.status, ("Unknown", Reason.DEPLOYING, application.status))
    replicas, note = application.replicas, application.note
    return State(ready, reason, application.message or words, replicas, observed=True, note=note)


def readiness(
    model: AnonymizationModel, state: State, now: datetime, *, endpoint: str = "", endpoints: int | None = None
) -> ModelStatus:
    """Return the model's status in this state; equal to the old one when nothing changed.

    Args:
        model: as it was last seen.
        state: how it stands.
        now: the time.
        endpoint: URL that serves it, when it is deployed.
        endpoints: Ray pods behind that, None when nobody counts them.
    """
    message = _told(state)
    old, generation = model.status, model.metadata.generation
    return old.model_copy(
        update={
            "conditions": set_condition(
                old.conditions, READY, state.ready, str(state.reason), message, generation=generation, now=now
            ),
            "observed_generation": generation if state.observed else old.observed_generation,
            "replicas": old.replicas if state.replicas is None else state.replicas,
            "endpoint": endpoint if state.observed else "",
            "endpoints": endpoints,
            "message": message,
        }
    )


def _told(state: State) -> str:
    note = f"; {state.note}"[: MESSAGE_LENGTH // 2] if state.note else ""
    return state.message[: MESSAGE_LENGTH - len(note)] + note
