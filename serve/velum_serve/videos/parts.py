"""Finished segments in the work folder.

A segment's files have names that no other process uses, and a document with a known name, written after them, says
which they are. So two processes that finish the same segment (one was thought dead) never mix: the later document
counts, and what it names is whole and of one hand.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from velum.errors import NotFound
from velum.storage import BlobStore
from velum_pipeline.video.part import SegmentResult
from velum_pipeline.video.segments import Segment
from velum_serve.errors import ServeError, Withdrawn
from velum_serve.files import Digest, download, upload
from velum_serve.videos.plan import Fence, Plan

DOCUMENT = re.compile(r"/part-\d+\.json$")

READS = 8
"""Documents read at a time."""


class PartFile(BaseModel):
    """A file of a part: where it is, its size in bytes and its SHA-256 in hex."""

    model_config = ConfigDict(frozen=True)

    key: str
    size: int
    sha256: str


class Part(BaseModel):
    """A finished segment. video: None for method detect. records, tracks: see `velum_pipeline.video.records`."""

    model_config = ConfigDict(frozen=True)

    plan: str
    number: int
    frames: int
    skipped: int
    video: PartFile | None
    records: PartFile
    tracks: PartFile

    @property
    def files(self) -> tuple[PartFile, ...]:
        """The files that there are."""
        return tuple(file for file in (self.video, self.records, self.tracks) if file is not None)


class DamagedPart(ServeError):
    """A finished segment's files are not what its document says; it must be done again."""

    def __init__(self, number: int, key: str) -> None:
        super().__init__(f"{key} is not what was written; segment {number} has to be done again")
        self.number = number


@dataclass(frozen=True)
class Fetched:
    """A part's files on this machine."""

    part: Part
    video: Path | None
    records: Path
    tracks: bytes


class Parts:
    """The parts of one plan in one work folder."""

    def __init__(self, store: BlobStore, work: str, plan: Plan) -> None:
        self._store = store
        self._work = work
        self._plan = plan

    async def finished(self) -> dict[int, Part]:
        """Return the segments that are done, by number. Raises Unavailable."""
        sizes = {blob.key: blob.size for blob in await self._store.below(self._work)}
        documents = [key for key in sizes if DOCUMENT.search(key)]
        limit = asyncio.Semaphore(READS)
        read = await asyncio.gather(*(self._read(key, limit) for key in documents))
        return {
            part.number: part
            for part in read
            if part is not None
            and part.plan == self._plan.id
            and all(sizes.get(file.key) == file.size for file in part.files)
        }

    async def of(self, numbers: Iterable[int]) -> dict[int, Part]:
        """Return those of these segments that were finished just now. Raises Unavailable."""
        limit = asyncio.Semaphore(READS)
        read = await asyncio.gather(*(self._read(self._document(number), limit) for number in numbers))
        return {part.number: part for part in read if part is not None and part.plan == self._plan.id}

    async def _read(self, key: str, limit: asyncio.Semaphore) -> Part | None:
        async with limit:
            try:
                return Part.model_validate_json(await self._store.get(key))
            except (NotFound, ValidationError):
                return None

    def save(self, segment: Segment, result: SegmentResult, fence: Fence, stopped: Callable[[], bool]) -> None:
        """Write a finished segment, from a thread of the caller's. Its files are left where they are.

        Raises:
            Withdrawn: nobody wants it any more; its document was not written.
            Unavailable: the store refused it.
        """
        stem = f"{self._work}part-{segment.number:05}-{secrets.token_hex(4)}"
        _require(not stopped() and fence.holds_now(), segment)
        video = None if result.path is None else self._upload(f"{stem}.nut", result.path, stopped)
        part = Part(
            plan=self._plan.id,
            number=segment.number,
            frames=result.frames,
            skipped=result.skipped,
            video=video,
            records=self._upload(f"{stem}.jsonl", result.records, stopped),
            tracks=self._put(f"{stem}.tracks.json", result.tracks),
        )
        _require(not stopped() and fence.holds_now(), segment)
        self._put(self._document(segment.number), part.model_dump_json().encode())

    def _upload(self, key: str, path: Path, stopped: Callable[[], bool]) -> PartFile:
        digest = upload(self._store, key, path, lambda: not stopped())
        return PartFile(key=key, size=digest.size, sha256=digest.sha256)

    def _put(self, key: str, data: bytes) -> PartFile:
        self._store.translated(key, lambda: self._store.put_now(key, data))
        return PartFile(key=key, size=len(data), sha256=hashlib.sha256(data).hexdigest())

    def fetch(self, part: Part, folder: Path, stopped: Callable[[], bool]) -> Fetched:
        """Copy a part to a folder, from a thread of the caller's. Raises DamagedPart, Withdrawn, Unavailable."""
        paths: dict[str, Path] = {}
        for file in part.files:
            path = paths[file.key] = folder / file.key.rsplit("/", 1)[-1]
            try:
                got = download(self._store, file.key, path, stopped)
            except NotFound as error:
                raise DamagedPart(part.number, file.key) from error
            if got != Digest(file.size, file.sha256):
                raise DamagedPart(part.number, file.key)
        tracks = paths[part.tracks.key].read_bytes()
        paths[part.tracks.key].unlink()
        video = None if part.video is None else paths[part.video.key]
        return Fetched(part, video, paths[part.records.key], tracks)

    def _document(self, number: int) -> str:
        return f"{self._work}part-{number:05}.json"


def _require(wanted: bool, segment: Segment) -> None:
    if not wanted:
        raise Withdrawn(f"segment {segment.number} was not written: the attempt was cancelled")
