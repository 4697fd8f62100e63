"""The resource types of group velum.dev, version v1alpha1, and everything that is decided about their shape."""

from velum.api.conditions import Condition, condition, set_condition
from velum.api.meta import API_VERSION, GROUP, VERSION, ObjectMeta
from velum.api.model import AnonymizationModel, ModelSpec, ModelStatus
from velum.api.reasons import Reason
from velum.api.status import Phase, ResultFile, TaskResult, TaskStatus, WebhookState, WebhookStatus
from velum.api.task import AnonymizationTask, TaskSpec

__all__ = [
    "API_VERSION",
    "GROUP",
    "VERSION",
    "AnonymizationModel",
    "AnonymizationTask",
    "Condition",
    "ModelSpec",
    "ModelStatus",
    "ObjectMeta",
    "Phase",
    "Reason",
    "ResultFile",
    "TaskResult",
    "TaskSpec",
    "TaskStatus",
    "WebhookState",
    "WebhookStatus",
    "condition",
    "set_condition",
]
