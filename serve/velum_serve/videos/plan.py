"""How a video is worked on: found out once per task, kept in its work folder, the same for every attempt and replica.

    work/<uid>/
        owner               number of the attempt that may write here; gone when nobody may
        source-3/original   a copy of what a URL gave, for as long as its attempt runs
        plan.json           segments, the covers' key, what the plan is of; written last
        plan-<id>.video     the video's description
        part-00012.json     a finished segment; see `parts`
        part-00012-….nut    its frames
        part-00012-….jsonl  its records; and .tracks.json, by what its tracks are known

A plan is of one source and one set of wishes. If either has changed, a new plan takes its place, and parts of the old
one count for nothing.
"""

import asyncio
import hashlib
import json
import secrets
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError

from velum.errors import NotFound
from velum.storage import BlobStore
from velum_pipeline.errors import PipelineError
from velum_pipeline.video.description import Video
from velum_pipeline.video.segments import Segment

PLAN = "plan.json"
OWNER = "owner"

KEY_BYTES = 16


def source_folder(work: str, attempt: int) -> str:
    """Return the key prefix of an attempt's copy of its source.

    Each attempt has its own: one that was given up and does not know it takes nothing from its successor.
    """
    return f"{work}source-{attempt}/"


class Plan(BaseModel):
    """What is done with a video.

    wishes: a hash of all that decides what its parts look like. segments: [first, stop) of each, in frames. key: 16
    secret bytes in hex; they never leave the work folder, which goes when the result is there. factor: the encoder's
    rate factor that was found for this video, None where it has none of its own.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    wishes: str
    key: str
    segments: tuple[tuple[int, int], ...]
    factor: float | None = None

    @property
    def covers_key(self) -> bytes:
        """The key as bytes."""
        return bytes.fromhex(self.key)

    def segment(self, number: int) -> Segment:
        """Return a segment by its number."""
        return Segment(number, *self.segments[number])

    def frames(self, numbers: Sequence[int]) -> int:
        """Return how many frames these segments have."""
        return sum(self.segments[number][1] - self.segments[number][0] for number in numbers)


def fingerprint(*wishes: object) -> str:
    """Return a hash that differs when one of these JSON-ready values does."""
    return hashlib.sha256(json.dumps(wishes, sort_keys=True).encode()).hexdigest()


def new_plan(wishes: str, segments: Sequence[Segment], factor: float | None = None) -> Plan:
    """Return a plan that no other one is like."""
    cut = tuple((each.first, each.stop) for each in segments)
    key = secrets.token_hex(KEY_BYTES)
    return Plan(id=secrets.token_hex(8), wishes=wishes, key=key, segments=cut, factor=factor)


async def save(store: BlobStore, work: str, plan: Plan, video: Video) -> None:
    """Write a plan. Raises Unavailable."""
    await store.put(_video_key(work, plan), await asyncio.to_thread(video.dumps))
    await store.put(work + PLAN, plan.model_dump_json().encode())


async def load(store: BlobStore, work: str) -> tuple[Plan, Video] | None:
    """Return the plan that is there, None when there is none that can be read. Raises Unavailable."""
    try:
        plan = Plan.model_validate_json(await store.get(work + PLAN))
        video = await asyncio.to_thread(Video.loads, await store.get(_video_key(work, plan)))
    except (NotFound, ValidationError, PipelineError):  # a plan that another version wrote is no plan
        return None
    return plan, video


def _video_key(work: str, plan: Plan) -> str:
    return f"{work}plan-{plan.id}.video"


class Fence:
    """Whether an attempt may still write into the work folder: whoever is named there last may."""

    def __init__(self, store: BlobStore, work: str, attempt: int) -> None:
        self._store = store
        self._key = work + OWNER
        self._attempt = str(attempt).encode()

    async def claim(self) -> None:
        """Make this attempt the one. Raises Unavailable."""
        await self._store.put(self._key, self._attempt)

    def holds_now(self) -> bool:
        """Whether this attempt is still the one, asked in a thread of the caller's. Raises Unavailable."""
        try:
            return b"".join(self._store.chunks_now(self._key)) == self._attempt
        except NotFound:
            return False
