"""The Secret that belongs to a task: what it is called and how the spec refers to it. The same in both stores."""

from velum.api.task import SecretReference, TaskSpec
from velum.errors import InvalidInput


def secret_name(task: str) -> str:
    """Name of the Secret that holds the header of this task's webhook."""
    return f"{task}-webhook"


def with_secret(task: str, spec: TaskSpec) -> TaskSpec:
    """Return the spec with its webhook referring to the task's own Secret. Raises InvalidInput without a webhook."""
    if spec.webhook is None:
        raise InvalidInput("webhook", "a header is given but no URL to send it to")
    webhook = spec.webhook.model_copy(update={"header_secret_ref": SecretReference(name=secret_name(task))})
    return spec.model_copy(update={"webhook": webhook})
