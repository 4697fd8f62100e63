"""Blobs: uploads in the input store, results in the output store."""

from dataclasses import dataclass
from typing import Self

from velum.storage.blobs import Blob, BlobStore, BlobWriter

__all__ = ["Blob", "BlobStore", "BlobWriter", "Storage"]


@dataclass(frozen=True)
class Storage:
    """Where uploads and sources are read from, and where results are written to. They may be the same place."""

    inputs: BlobStore
    outputs: BlobStore

    @classmethod
    def open(cls, input_url: str, output_url: str) -> Self:
        """Open both stores. Raises InvalidInput for a URL that names no store."""
        return cls(BlobStore(input_url), BlobStore(output_url))

    async def remove(self, folder: str) -> int:
        """Remove a task's folder from both stores; return how many objects that were."""
        removed = await self.inputs.remove(folder)
        if self.outputs.url != self.inputs.url:
            removed += await self.outputs.remove(folder)
        return removed

    async def check(self) -> None:
        """Raise Unavailable when either store does not answer."""
        await self.inputs.check()
        await self.outputs.check()
