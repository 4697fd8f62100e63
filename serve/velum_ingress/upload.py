"""An upload on its way from the socket to the input store, looked at as it passes.

Memory stays flat whatever the size: the first MiB and the last 64 KiB are kept for the checks, and one MiB on its way
to storage. Checks run as early as their bytes are there: the type after the first kilobytes, the announced pixels with
the head, the size with every byte, wholeness at the end. The object appears in storage only when the whole form was
read and found good; on any error nothing is left.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from velum.api import Reason
from velum.errors import InvalidInput
from velum.settings import LimitSettings
from velum.storage import BlobStore, BlobWriter
from velum_ingress.errors import MediaRefused, UploadTooLarge
from velum_ingress.multipart import PART, Event, FormReader, PartBegin, PartData
from velum_pipeline import media

PARTS = (PART, "file")
"""Names under which the file is taken."""

HEAD_BYTES = 1 << 20
"""Kept of the beginning: EXIF, ICC and XMP come before a picture's size in some formats, seldom a MiB of them."""

WRITE_BYTES = 1 << 20
"""Collected before a write: the network gives 64 KiB at a time, and each write costs a thread switch."""

FORM_OVERHEAD = 1 << 20
"""Bytes that a form may have around the file."""


@dataclass(frozen=True)
class Upload:
    """A file in the input store: its key, size in bytes, type by its bytes, and the client's name for it."""

    key: str
    size: int
    media_type: media.MediaType
    filename: str | None


async def receive(
    chunks: AsyncIterator[bytes],
    boundary: bytes,
    store: BlobStore,
    key: str,
    limits: LimitSettings,
    *,
    lossless: bool = False,
) -> Upload:
    """Write the form's file to `key` and return what it is. `lossless`: whether no loss is allowed.

    Raises:
        InvalidInput: the form is broken, or has no file, an empty one, two, or parts that are not known; or the file
            cannot be worked on without loss.
        MediaRefused: the bytes are no picture or video, truncated, or announce too many pixels.
        UploadTooLarge: more bytes than the limit.
        Unavailable: storage does not take it.
    """
    reader, total = FormReader(boundary), 0
    async with store.writer(key) as writer:
        taker = _Taker(writer, limits, lossless=lossless)
        async for chunk in chunks:
            total += len(chunk)
            if total > limits.upload_bytes + FORM_OVERHEAD:
                raise UploadTooLarge(limits.upload_bytes)
            for event in reader.feed(chunk):
                await taker.take(event)
        reader.finish()
        return await taker.finish(key)


class _Taker:
    """Takes the events of one form: passes the file's bytes on, keeps its head and tail."""

    def __init__(self, writer: BlobWriter, limits: LimitSettings, *, lossless: bool) -> None:
        self._writer = writer
        self._limits = limits
        self._lossless = lossless
        self._begun: PartBegin | None = None
        self._waiting = bytearray()
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0
        self._media_type: media.MediaType | None = None
        self._probed = False

    async def take(self, event: Event) -> None:
        match event:
            case PartBegin():
                self._begin(event)
            case PartData(data):
                await self._add(data)

    async def finish(self, key: str) -> Upload:
        if self._begun is None:
            raise InvalidInput(PART, "is missing; send the file as a part of that name in multipart/form-data")
        if self._size == 0:
            raise MediaRefused(Reason.EMPTY_MEDIA, f"{self._begun.name}: the file is empty")
        media_type = self._identify()
        self._probe()
        why = media.truncation(media_type, bytes(self._head), bytes(self._tail), self._size)
        if why is not None:
            raise MediaRefused(Reason.TRUNCATED_MEDIA, f"{self._begun.name}: the file is truncated: {why}")
        await self._flush()
        return Upload(key, self._size, media_type, self._begun.filename)

    def _begin(self, part: PartBegin) -> None:
        if part.name not in PARTS:
            raise InvalidInput(
                part.name[:64] or PART, f"no such part; the file goes into {PART}, parameters into the query"
            )
        if self._begun is not None:
            raise InvalidInput(part.name, "is there twice; send one file per request")
        self._begun = part

    async def _add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limits.upload_bytes:
            raise UploadTooLarge(self._limits.upload_bytes)
        self._head += data[: HEAD_BYTES - len(self._head)]
        self._tail += data
        del self._tail[: -media.TAIL_BYTES]
        if self._media_type is None and len(self._head) >= media.SNIFF_BYTES:
            self._identify()
        if not self._probed and len(self._head) >= HEAD_BYTES:
            self._probe()
        self._waiting += data
        if len(self._waiting) >= WRITE_BYTES:
            await self._flush()

    def _identify(self) -> media.MediaType:
        self._media_type = self._media_type or media.sniff(bytes(self._head))
        if self._media_type is None:
            raise MediaRefused(
                Reason.UNSUPPORTED_MEDIA,
                f"{PART}: the bytes are no JPEG, PNG, WebP, TIFF, BMP, HEIC or AVIF picture "
                "and no MP4, MOV, MKV, WebM, AVI or MPEG-TS video",
            )
        return self._media_type

    def _probe(self) -> None:
        """Refuse a picture whose header announces too many pixels, and what cannot be worked on without loss.

        What the header does not tell is left to the decoder; so is everything about a video, whose frames may be
        described anywhere in it.
        """
        if self._probed:
            return
        self._probed = True
        obstacle = self._obstacle() if self._lossless else None
        if obstacle is not None:
            raise InvalidInput("lossless", obstacle)
        found = media.probe(bytes(self._head))
        if found is not None and found.pixels > self._limits.pixels:
            raise MediaRefused(
                Reason.TOO_MANY_PIXELS,
                f"{PART}: {found.width} x {found.height} pixels; the server's limit is {self._limits.pixels} pixels",
            )

    def _obstacle(self) -> str | None:
        media_type = self._identify()
        if media_type.kind == "video":
            return "videos are always encoded anew; send it without lossless"
        return media.obstacle(media_type, bytes(self._head))

    async def _flush(self) -> None:
        data, self._waiting = bytes(self._waiting), bytearray()
        if data:
            await self._writer.write(data)
