"""From an accepted request to a task: the checks that need the store, the upload, the record. Nothing is left of a
request that was refused on the way.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import PurePosixPath

from velum.api import AnonymizationTask
from velum.api.meta import CREATED_BY
from velum.api.task import task_folder
from velum.errors import AlreadyExists, ForbiddenTarget, InvalidInput, NotFound, Unavailable, VelumError
from velum.net import check_url
from velum_ingress.hints import not_served
from velum_ingress.links import LONGEST_ID, task_id
from velum_ingress.parameters import Submission
from velum_ingress.services import Services
from velum_ingress.upload import Upload, receive

log = logging.getLogger(__name__)

INPUT = "input"
"""The upload's name in its task's folder: the client's name for it never becomes part of a key."""

LONGEST_NAME = 255
"""Characters of a file name, as in the resource."""


async def check(services: Services, submission: Submission) -> Submission:
    """Check what can be known before a byte of the file is read; return the submission with its model's classes.

    Raises:
        InvalidInput: no such model, it does not serve a class, or the webhook may not be called.
        Unavailable: the store does not answer, or the server's default model does not exist.
    """
    submission = await _for_model(services, submission)
    if submission.webhook is not None:
        try:
            await check_url(submission.webhook, allow_private=services.settings.webhook.allow_private)
        except ForbiddenTarget as error:
            raise InvalidInput("webhook", error.why) from error
    return submission


async def _for_model(services: Services, submission: Submission) -> Submission:
    name = submission.model
    try:
        model = await services.store.get_model(task_id(name))
    except NotFound as error:
        known = ", ".join(each.name for each in await services.store.list_models()) or "none"
        if submission.model_named:
            raise InvalidInput("model", f"there is no model {name[:LONGEST_ID]!r}; the models are: {known}") from error
        raise Unavailable("default model", f"{name!r} does not exist; the models are: {known}") from error
    submission = submission.fitting(model.spec.classes)
    missing = [wanted for wanted in submission.classes.names() if wanted not in model.spec.classes]
    if missing:
        models = await services.store.list_models()
        raise InvalidInput(missing[0], not_served(model, missing, submission.classes.names(), models))
    return submission


async def submit(
    services: Services, submission: Submission, name: str, chunks: AsyncIterator[bytes], boundary: bytes
) -> AnonymizationTask:
    """Write the upload and create its task.

    Raises:
        QueueFull: too many tasks have not ended; no byte was read.
        InvalidInput, MediaRefused, UploadTooLarge: the request is at fault.
        Unavailable: storage or the store do not answer.
    """
    folder = task_folder(services.namespace, name)
    async with services.backlog.place():
        try:
            upload = await receive(
                chunks,
                boundary,
                services.storage.inputs,
                folder + INPUT,
                services.settings.limit,
                lossless=submission.lossless,
            )
            task = await _create(services, submission, name, upload)
        except BaseException:
            # Shielded: a request that is cancelled must still not leave a picture behind.
            await asyncio.shield(_forget(services, folder))
            services.metrics.uploads.labels("refused").inc()
            raise
    services.metrics.uploads.labels("accepted").inc()
    return task


async def _create(services: Services, submission: Submission, name: str, upload: Upload) -> AnonymizationTask:
    filename = file_name(submission.name) or file_name(upload.filename) or name + upload.media_type.extension
    spec = submission.spec(upload.key, filename)
    try:
        return await services.store.create(name, spec, labels={CREATED_BY: "rest"}, header=submission.header)
    except (InvalidInput, AlreadyExists):
        raise  # certainly not made
    except BaseException:
        # The answer may have been lost after the task was made: a task whose client was told no must not run.
        await asyncio.shield(_withdraw(services, name))
        raise


async def _withdraw(services: Services, name: str) -> None:
    try:
        await services.store.delete(name)
    except NotFound:
        return
    except VelumError as error:
        log.warning("task %s may exist although its request was refused: %s", name, error)


async def _forget(services: Services, folder: str) -> None:
    try:
        await services.storage.inputs.remove(folder)
    except VelumError as error:
        log.warning("%s is left to the janitor: %s", folder, error)


def file_name(given: str | None) -> str | None:
    """Return the last part of a client's file name, printable and of bounded length; None when nothing is left."""
    if given is None:
        return None
    last = PurePosixPath(given.replace("\\", "/")).name
    clean = "".join(sign for sign in last if sign.isprintable()).strip()
    if len(clean) > LONGEST_NAME:
        suffix = PurePosixPath(clean).suffix[:16]
        clean = clean[: LONGEST_NAME - len(suffix)] + suffix
    return clean or None
