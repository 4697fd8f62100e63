"""The Secret that holds a webhook's header: made after its task, which owns it, and removed with it.

Removal does not rely on the cluster's garbage collector alone: when the task is gone, the header is gone too.
A Secret that a person made and a task refers to is read, and never touched.
"""

import base64
import binascii

from velum.api.task import AnonymizationTask
from velum.errors import AlreadyExists, NotFound
from velum.tasks.kubernetes.bodies import HEADER_KEYS, owned_by, secret
from velum.tasks.kubernetes.collection import Collection
from velum.tasks.secret import secret_name
from velum.tasks.store import SecretHeader


async def keep(secrets: Collection, task: AnonymizationTask, header: SecretHeader) -> None:
    """Make the task's Secret. Raises AlreadyExists when somebody else's has its name."""
    body = secret(task, header)
    try:
        await secrets.create(body)
    except AlreadyExists:
        old = await secrets.get(secret_name(task.name))
        if not owned_by(old, task.name):
            raise
        # It belonged to a deleted task of the same name, and the garbage collector has not come round yet.
        await secrets.delete(secret_name(task.name), uid=old["metadata"]["uid"])
        await secrets.create(body)


async def read(secrets: Collection, task: AnonymizationTask) -> SecretHeader | None:
    """Return the header the task refers to, None when it refers to none. Raises NotFound."""
    if task.spec.webhook is None or task.spec.webhook.header_secret_ref is None:
        return None
    name = task.spec.webhook.header_secret_ref.name
    data = (await secrets.get(name)).get("data") or {}
    try:
        return SecretHeader(*(base64.b64decode(data[key]).decode() for key in HEADER_KEYS))
    except (KeyError, binascii.Error, UnicodeDecodeError) as error:
        raise NotFound("text under the keys name and value of secret", name) from error


async def drop(secrets: Collection, task: AnonymizationTask) -> None:
    """Remove the Secret that was made for this task, if there is one."""
    webhook = task.spec.webhook
    name = secret_name(task.name)
    if webhook is None or webhook.header_secret_ref is None or webhook.header_secret_ref.name != name:
        return
    try:
        found = await secrets.get(name)
        if owned_by(found, task.name, task.metadata.uid):
            await secrets.delete(name, uid=found["metadata"]["uid"])
    except NotFound:
        return
