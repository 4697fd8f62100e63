"""Blobs over obstore: a folder, S3, Google Cloud Storage or Azure behind one small interface.

obstore's blocking calls run in threads. Its asyncio flavour finishes futures from a foreign thread, and when the
interpreter ends at that moment the whole process aborts; the blocking calls release the GIL and have no such race.

In a folder, data and its directory entry are flushed to disk before a write returns: a status that names a result
must never survive a power cut that the result did not.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from velum.errors import InvalidInput, NotFound, Unavailable

T = TypeVar("T")

STREAM_CHUNK = 1 << 20
"""Bytes that a download holds in memory at a time."""

PRIVATE = 0o700
"""Mode of folders that we make: originals lie in them, and nobody else on the machine has business there."""

WRITE_BUFFER = 8 << 20
"""Bytes that an upload holds before a part is sent: above the 5 MiB that S3 wants of each part but the last."""

WRITE_CONCURRENCY = 2
"""Parts in flight: an upload holds at most this many buffers."""


@dataclass(frozen=True)
class Blob:
    """An object's key, size in bytes and time of last change."""

    key: str
    size: int
    modified: datetime


class BlobStore:
    """One object store, or one folder."""

    def __init__(self, url: str) -> None:
        """Open the store at this URL (`file:///data`, `s3://bucket/prefix`, `gs://…`, `az://…`).

        Raises:
            InvalidInput: the URL names no store that Velum knows.
        """
        self.url = url
        self._folder = Path(unquote(urlsplit(url).path)) if url.startswith("file://") else None
        try:
            if self._folder is not None:
                self._folder.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
                self._store: ObjectStore = from_url(url, mkdir=True)
            else:
                self._store = from_url(url)
        except (BaseError, ValueError, OSError) as error:
            raise InvalidInput("storage", f"{url}: {_first_line(error)}") from error

    async def put(self, key: str, data: bytes) -> None:
        """Write an object whole; readers see the old one or the new one, never a part."""
        await self._run(key, lambda: self.put_now(key, data))

    def put_now(self, key: str, data: bytes) -> None:
        """Write an object from a thread of the caller's. Raises what obstore raises."""
        obstore.put(self._store, key, data)
        self.finish(key)

    async def get(self, key: str) -> bytes:
        """Return an object's bytes. Raises NotFound."""
        return await self._run(key, lambda: bytes(obstore.get(self._store, key).bytes()))

    async def head(self, key: str) -> Blob:
        """Return an object's size and time. Raises NotFound."""
        meta = await self._run(key, lambda: obstore.head(self._store, key))
        return _blob(cast(dict[str, Any], meta))

    async def stream(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Yield an object's bytes from `start` to before `end`, in chunks. Raises NotFound at the first one."""
        options: Any = {"range": {"offset": start} if end is None else (start, end)} if start or end else None
        result = await self._run(key, lambda: obstore.get(self._store, key, options=options))
        chunks = iter(result.stream(min_chunk_size=STREAM_CHUNK))
        while (chunk := await self._run(key, lambda: next(chunks, None))) is not None:
            yield bytes(chunk)

    def range_now(self, key: str, start: int, end: int) -> bytes:
        """Return an object's bytes from `start` to before `end`, from a thread of the caller's.

        Raises NotFound, Unavailable.
        """
        return self.translated(key, lambda: bytes(obstore.get_range(self._store, key, start=start, end=end)))

    def chunks_now(self, key: str) -> Iterator[bytes]:
        """Yield an object's bytes in chunks, in a thread of the caller's. Raises NotFound, Unavailable."""
        result = self.translated(key, lambda: obstore.get(self._store, key))
        chunks = iter(result.stream(min_chunk_size=STREAM_CHUNK))
        while (chunk := self.translated(key, lambda: next(chunks, None))) is not None:
            yield bytes(chunk)

    def writer(self, key: str) -> "BlobWriter":
        """Return a writer for an object whose size is not known yet."""
        return BlobWriter(self, key)

    async def copy_to(self, key: str, other: "BlobStore", target: str) -> None:
        """Copy an object to another store, in bounded memory. Raises NotFound."""
        async with other.writer(target) as writer:
            async for chunk in self.stream(key):
                await writer.write(chunk)

    async def below(self, prefix: str) -> list[Blob]:
        """Return all objects below a prefix that ends with a slash."""
        return await self._run(prefix, lambda: list(self._listed(prefix)))

    def _listed(self, prefix: str) -> Iterator[Blob]:
        for batch in obstore.list(self._store, prefix.rstrip("/") or None):
            yield from (_blob(cast(dict[str, Any], meta)) for meta in batch)

    async def folders(self, prefix: str) -> list[str]:
        """Return the names directly below a prefix that have objects below them."""
        found = await self._run(prefix, lambda: obstore.list_with_delimiter(self._store, prefix.rstrip("/") or None))
        return sorted(path.rstrip("/").rsplit("/", 1)[-1] for path in found["common_prefixes"])

    async def remove(self, prefix: str) -> int:
        """Remove everything below a prefix that ends with a slash; return how many objects that were."""
        blobs = await self.below(prefix)
        for blob in blobs:
            await self._run(blob.key, partial(self._remove_now, blob.key))
        if self._folder is not None:
            await asyncio.to_thread(_prune, self._folder / prefix)
        return len(blobs)

    def _remove_now(self, key: str) -> None:
        try:
            obstore.delete(self._store, key)
        except FileNotFoundError:
            return  # somebody else removed it: that is what was wanted

    async def check(self) -> None:
        """Raise Unavailable when the store cannot be listed."""
        await self._run("", lambda: obstore.list_with_delimiter(self._store, "health/"))
        if self._folder is not None and not os.access(self._folder, os.W_OK):
            raise Unavailable("storage", f"{self._folder} is missing or cannot be written to")

    async def _run(self, key: str, call: Callable[[], T]) -> T:
        return await asyncio.to_thread(self.translated, key, call)

    def translated(self, key: str, call: Callable[[], T]) -> T:
        """Return what the call returns, with obstore's errors as the kernel's."""
        try:
            return call()
        except FileNotFoundError as error:
            raise NotFound("blob", key) from error
        except (BaseError, OSError, ValueError) as error:
            if "parse path" in str(error).lower():
                raise InvalidInput("key", f"{key!r} is not a valid object key") from error
            raise Unavailable("storage", f"{self.url}: {_first_line(error)}") from error

    def open_writer(self, key: str) -> "obstore.WritableFile":
        """Return obstore's blocking writer; dropping it unclosed leaves nothing behind."""
        return obstore.open_writer(self._store, key, buffer_size=WRITE_BUFFER, max_concurrency=WRITE_CONCURRENCY)

    def finish(self, key: str) -> None:
        """Flush a written object and its place in the folder to disk, where there is a disk."""
        if self._folder is None:
            return
        path = self._folder / key
        for each in (path, path.parent):
            descriptor = os.open(each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


class BlobWriter:
    """Writes one object piece by piece. It exists when the block ends well; after an error nothing is left."""

    def __init__(self, store: BlobStore, key: str) -> None:
        self._store = store
        self._key = key
        self._file: Any = None
        self.size = 0

    async def __aenter__(self) -> "BlobWriter":
        self._file = await asyncio.to_thread(self._store.translated, self._key, self._open)
        return self

    def _open(self) -> Any:
        return self._store.open_writer(self._key)

    async def write(self, data: bytes) -> None:
        """Append bytes; waits while earlier ones are on their way."""
        self.size += len(data)
        await asyncio.to_thread(self._store.translated, self._key, lambda: self._file.write(data))

    async def __aexit__(self, kind: object, error: object, trace: object) -> None:
        if kind is not None:
            self._file = None  # unclosed: obstore discards the parts
            return
        await asyncio.to_thread(self._store.translated, self._key, self._close)

    def _close(self) -> None:
        self._file.close()
        self._store.finish(self._key)


def _blob(meta: dict[str, Any]) -> Blob:
    return Blob(key=meta["path"], size=meta["size"], modified=meta["last_modified"])


def _prune(folder: Path) -> None:
    """Remove a folder and the empty folders below it; anything with a file in it stays."""
    for path, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            continue


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
