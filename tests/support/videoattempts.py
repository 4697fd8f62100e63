"""What attempts at a made video of red squares are watched by: a detector that waits, and what lies in the stores."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from support.redsquares import Square, looking_for_red
from velum.storage import Storage
from velum.tasks.order import Manifest, Progress, Succeeded, WorkOrder
from velum_pipeline.detections import Detections
from velum_pipeline.options import Options
from velum_serve.attempt import Tools, run_attempt

FRAMES = 48
SQUARES = (Square(4, 10, 0.6, 0.1), Square(150, 80, -0.5, -0.05, first=17, stop=40))
KEY = "in/a.jpg"  # what is in it decides, not its name
TASK = "tasks/default/t1/"
Pixels = NDArray[np.uint8]
Detect = Callable[[Pixels, Options], Awaitable[Detections]]


async def see_red(pixels: Pixels, options: Options) -> Detections:
    """Find every red square."""
    return looking_for_red([pixels], options)[0]


class Hold:
    """A detector that sees red, and after so many pictures waits until it is told to go on."""

    def __init__(self, after: int) -> None:
        self.after = after
        self.seen = 0
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()

    async def __call__(self, pixels: Pixels, options: Options) -> Detections:
        self.seen += 1
        if self.seen > self.after:
            self.waiting.set()
            await self.go_on.wait()
        return await see_red(pixels, options)


async def keys(stores: Storage, below: str = TASK) -> set[str]:
    """What lies below a folder of the output store."""
    return {blob.key.removeprefix(below) for blob in await stores.outputs.below(below)}


async def parts_of(stores: Storage, made: WorkOrder) -> dict[str, str]:
    """Finished segments: name of the document → what it says."""
    found = {}
    for name in await keys(stores, made.work):
        if re.fullmatch(r"part-\d+[.]json", name):
            found[name] = (await stores.outputs.get(made.work + name)).decode()
    return found


async def succeeded(made: WorkOrder, given: Tools, told: Callable[[Progress], None] = lambda _: None) -> Manifest:
    """Make an attempt that has to succeed."""
    async with asyncio.timeout(60):
        outcome = await run_attempt(made, given, told)
    assert isinstance(outcome, Succeeded), outcome
    return outcome.manifest


async def pages(stores: Storage, manifest: Manifest) -> Any:
    """The documents of a result's frames."""
    assert manifest.result.metadata is not None
    return json.loads(await stores.outputs.get(manifest.result.metadata.key))


def alike(page: dict[str, Any]) -> dict[str, Any]:
    """A frame's document without what differs from run to run."""
    return {key: value for key, value in page.items() if key != "duration"}
