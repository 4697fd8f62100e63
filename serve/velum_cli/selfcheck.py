"""The self-check of `velum up`: our own sample picture goes through the real door, and what comes back is looked at.

It asserts what matters to those in the picture: their faces were found, and the pixels there are not the ones that went
in. Faces are asked for alone first, because a hidden person would hide a broken search for faces, too. Tasks and files
are removed afterwards.

`python -m velum_cli.selfcheck URL` does it for a service that runs elsewhere; `helm test` does so.
"""

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import aiohttp
import cv2
import numpy as np
from numpy.typing import NDArray

from velum.errors import VelumError
from velum_cli.sample import sample_picture
from velum_pipeline.options import ObjectClass

LEAST_CHANGE = 8.0
"""Mean absolute difference in grey levels inside a box that a redacted face exceeds; JPEG alone makes about 2."""

TIMEOUT_SECONDS = 180
"""A first replica on a slow machine loads its packages from a cold disk."""


class SelfCheckFailed(VelumError):
    """The service runs, but what it returns must not be trusted."""


async def self_check(url: str, classes: Sequence[str], timeout_seconds: float = TIMEOUT_SECONDS) -> dict[str, int]:
    """Send the sample through the service at `url` and return how many objects of each class found were hidden.

    timeout_seconds: for each request; the first may have to wait for a replica's machine.

    Raises:
        SelfCheckFailed: no answer, no face found though faces were asked for, or pixels that were not changed.
    """
    picture = sample_picture()
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    # Our own certificate may be self-signed; this connection never leaves the machine.
    connector = aiohttp.TCPConnector(ssl=False)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
        try:
            if ObjectClass.FACE in classes and len(classes) > 1:
                await _checked(session, url, picture, [ObjectClass.FACE])
            return await _checked(session, url, picture, classes)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise SelfCheckFailed(f"the service did not answer: {error or type(error).__name__}") from error


async def _checked(session: aiohttp.ClientSession, url: str, picture: bytes, classes: Sequence[str]) -> dict[str, int]:
    form = aiohttp.FormData()
    form.add_field("fileobject", picture, filename="self-check.jpg", content_type="image/jpeg")
    query = {"method": "blur", "save-mask": "none", "name": "self-check.jpg", **{str(each): "true" for each in classes}}
    async with session.post(f"{url}/v1/file", params=query, data=form) as answer:
        task = await answer.json()
        if answer.status != 200:
            raise SelfCheckFailed(f"{answer.status}: {task.get('error', task)}")
    base = f"{url}/v1/file/{task['id']}"
    try:
        async with session.get(f"{base}/anonymised") as answer:
            result = await answer.read()
        async with session.get(f"{base}/metadata") as answer:
            metadata = await answer.json()
    finally:
        async with session.delete(f"{url}/v1/task/{task['id']}"):
            pass
    return judge(picture, result, metadata, classes)


def judge(
    before: bytes, after: bytes, metadata: dict[str, Any], classes: Sequence[str] = (ObjectClass.FACE,)
) -> dict[str, int]:
    """Return how many objects of each class were hidden in `after`, when these classes were asked for.

    Raises:
        SelfCheckFailed: one was not hidden, none was found, or no face although faces were asked for.
    """
    found = metadata.get("detections", [])
    kinds = Counter(str(each["type_label"]) for each in found)
    if not found:
        raise SelfCheckFailed("nothing was found in the sample picture, in which there are three faces")
    if ObjectClass.FACE in classes and not kinds[ObjectClass.FACE]:
        raise SelfCheckFailed(
            f"no face was found in the sample picture, in which there are three, but {counted(kinds)}"
        )
    original, result = _decoded(before), _decoded(after)
    if original.shape != result.shape:
        raise SelfCheckFailed(f"the result is {result.shape}, the sample picture {original.shape}")
    for each in found:
        left, top, right, bottom = each["bbox"]
        change = float(np.abs(original[top:bottom, left:right] - result[top:bottom, left:right]).mean())
        if change < LEAST_CHANGE:
            raise SelfCheckFailed(f"the {each['type_label']} at {each['bbox']} was found but not hidden")
    return dict(kinds)


def counted(hidden: dict[str, int]) -> str:
    """Return the counts for people: `3 faces, 1 license-plate`."""
    return ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for name, count in hidden.items())


def _decoded(data: bytes) -> NDArray[np.float32]:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise SelfCheckFailed("the result is not a picture")
    return picture.astype(np.float32)


def main() -> int:
    """Check the service of the command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m velum_cli.selfcheck", description=str(self_check.__doc__))
    parser.add_argument("url", help="base URL of the service")
    parser.add_argument("--timeout", type=float, default=TIMEOUT_SECONDS, help="seconds for each request (%(default)s)")
    arguments = parser.parse_args()
    try:
        hidden = asyncio.run(self_check(arguments.url.rstrip("/"), [ObjectClass.FACE], arguments.timeout))
    except SelfCheckFailed as error:
        sys.stderr.write(f"self-check failed: {error}\n")
        return 1
    sys.stdout.write(f"hidden in the sample picture: {counted(hidden)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
