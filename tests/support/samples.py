"""Small valid values that several test modules need."""

from datetime import UTC, datetime, timedelta
from typing import Any

from velum.api.meta import FINALIZER, ObjectMeta
from velum.api.model import ModelSpec
from velum.api.status import ResultFile, TaskResult, TaskStatus
from velum.api.task import AnonymizationTask, TaskSpec
from velum.tasks.order import Manifest

NOW = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
UID = "5e0a4c0e-1d3b-4a8e-9f6e-1c5d5f0b7a11"


class ManualClock:
    """A clock that goes when it is told to."""

    def __init__(self, start: datetime = NOW) -> None:
        self.time = start

    def now(self) -> datetime:
        return self.time

    def forward(self, **span: float) -> None:
        self.time += timedelta(**span)


def spec(**changes: Any) -> TaskSpec:
    base: dict[str, Any] = {"source": {"object": {"key": "incoming/street.jpg"}}, "classes": {"face": {}}}
    return TaskSpec.model_validate({**base, **changes})


def model_spec(**changes: Any) -> ModelSpec:
    return ModelSpec.model_validate({"packs": ["centerface"], "classes": ["face"], **changes})


def task(
    status: TaskStatus | None = None,
    *,
    finalizers: tuple[str, ...] = (FINALIZER,),
    annotations: dict[str, str] | None = None,
    deleted: bool = False,
    generation: int = 1,
    **fields: Any,
) -> AnonymizationTask:
    meta = ObjectMeta(
        name="one",
        uid=UID,
        resource_version="7",
        generation=generation,
        creation_timestamp=NOW,
        deletion_timestamp=NOW if deleted else None,
        finalizers=finalizers,
        annotations=annotations or {},
    )
    return AnonymizationTask(metadata=meta, spec=spec(**fields), status=status or TaskStatus())


def file(key: str) -> ResultFile:
    return ResultFile(key=key, media_type="image/jpeg", size=3, sha256="ab" * 32)


def result(attempt: int = 1, **counts: int) -> TaskResult:
    return TaskResult(attempt=attempt, anonymised=file(f"{attempt}/anonymised.jpg"), detections=counts)


def manifest(attempt: int = 1, uid: str = UID, **counts: int) -> Manifest:
    return Manifest(uid=uid, media_type="image/jpeg", result=result(attempt, **counts), seconds=0.5)
