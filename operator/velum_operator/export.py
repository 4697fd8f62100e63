"""Copying a published result to the task's destination: `<prefix><stem>.<ext>` and its companions.

Copies are made whole and may be repeated: an interrupted export writes the same bytes under the same keys again.
"""

from pathlib import PurePosixPath

from velum.api.status import ResultFile
from velum.api.task import AnonymizationTask
from velum.api.v1 import filename
from velum.errors import VelumError
from velum.storage import BlobStore

COMPANIONS = {
    "binary-mask": ".binary-mask.png",
    "instance-mask": ".instance-mask.png",
    "metadata": ".metadata.json",
}
"""Role → what follows the stem."""


def targets(task: AnonymizationTask) -> dict[str, ResultFile]:
    """Return key in the destination → published file. Empty without a destination or a result."""
    destination, result = task.spec.destination, task.status.result
    if destination is None or result is None:
        return {}
    stem = PurePosixPath(filename(task.spec)).stem or task.name
    found: dict[str, ResultFile] = {}
    for role, file in result.files().items():
        ending = COMPANIONS.get(role, PurePosixPath(file.key).suffix)
        found[f"{destination.prefix}{stem}{ending}"] = file
    return found


async def export(task: AnonymizationTask, outputs: BlobStore) -> str:
    """Copy the result to its destination; return "" or why that failed."""
    for key, file in targets(task).items():
        try:
            await outputs.copy_to(file.key, outputs, key)
        except VelumError as error:
            return f"{key}: {error}"
    return ""
