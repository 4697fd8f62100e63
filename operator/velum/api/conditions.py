"""Conditions as in Kubernetes' metav1.Condition: the truth about a resource, from which phase is derived.

`lastTransitionTime` moves only when the status does, so it tells since when something holds.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from velum.api.meta import Frozen, Time

COMPLETE = "Complete"
FAILED = "Failed"
SUSPENDED = "Suspended"
READY = "Ready"

MESSAGE_MAX = 32768
"""Longest message of a condition, as in metav1.Condition."""

ConditionStatus = Literal["True", "False", "Unknown"]


class Condition(Frozen):
    """One observation about the state of a resource."""

    type: str = Field(max_length=316, description="What is observed, in CamelCase.")
    status: ConditionStatus = Field(description="Whether it holds.")
    reason: str = Field(min_length=1, max_length=1024, description="Why, as one CamelCase word.")
    message: str = Field("", max_length=MESSAGE_MAX, description="Why, for people.")
    last_transition_time: Time = Field(description="When the status last changed.")
    observed_generation: int | None = Field(None, ge=0, description="The generation of the spec this was observed for.")


def _one_of_a_type(conditions: tuple[Condition, ...]) -> tuple[Condition, ...]:
    if len({each.type for each in conditions}) != len(conditions):
        raise ValueError("must not have two conditions of one type")
    return conditions


Conditions = Annotated[
    tuple[Condition, ...],
    Field(
        max_length=8,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
    AfterValidator(_one_of_a_type),
]
"""At most one condition of each type."""


def condition(conditions: Sequence[Condition], kind: str) -> Condition | None:
    """Return the condition of this type, or None."""
    return next((each for each in conditions if each.type == kind), None)


def holds(conditions: Sequence[Condition], kind: str) -> bool:
    """Tell whether the condition of this type is True."""
    found = condition(conditions, kind)
    return found is not None and found.status == "True"


def set_condition(
    conditions: Sequence[Condition],
    kind: str,
    status: ConditionStatus,
    reason: str,
    message: str,
    *,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Return the conditions with this one set; the transition time is kept when the status is the same."""
    old = condition(conditions, kind)
    since = old.last_transition_time if old is not None and old.status == status else now
    new = Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message[:MESSAGE_MAX],
        last_transition_time=since,
        observed_generation=generation,
    )
    return (*(each for each in conditions if each.type != kind), new)
