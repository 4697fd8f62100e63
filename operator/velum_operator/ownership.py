"""Whose storage this is. Only its one user may conclude from a missing record that a folder is forgotten.

Each namespace's folder in a store carries a mark, the object `tasks/<namespace>/.owner`: the identities of the
installations that use it, one a line. Two installations that were given one bucket, or a new database beside old
results, would otherwise take each other's results for orphans and remove them all.

| the mark | and | then |
|---|---|---|
| holds our identity alone | | the store is ours |
| holds others | | it is nobody's: we add ours, so that the others see that they are not alone |
| is missing | every folder there belongs to a task of ours, or there is none | we set it |
| is missing | any other folder | it is nobody's, and stays without a mark |

Who sets or adds to a mark sweeps at its next look at the earliest. If two write at one moment, the later one wins, and
the other one adds itself at its next look. There are several looks in the time that makes an orphan, the first one when
an operator starts; so everybody is on the mark before anything of his is old enough to be taken for forgotten. Nothing
is asked of the store for this that some implementation of S3 does not have.

What is nobody's is mended by a person only, who knows whether that other installation is gone: `velum adopt`.
"""

import logging
from collections.abc import AsyncGenerator, Set
from contextlib import aclosing
from enum import StrEnum

from velum.errors import NotFound
from velum.storage import BlobStore
from velum.tasks.store import TaskStore

log = logging.getLogger(__name__)

OWNER = ".owner"
"""Name of the object that says whose the task folders beside it are. No task is called so: it is no DNS name."""


class Standing(StrEnum):
    """How an installation stands to a store."""

    OURS = "ours"
    NEW = "new"
    """We have just set the mark: ours from the next look on."""
    SHARED = "shared"
    """The mark holds others."""
    UNMARKED = "unmarked"
    """There is no mark, and folders that are of no task of ours."""


class Ownership:
    """Tells which stores belong to the installation that `store` belongs to, and to no other."""

    def __init__(self, store: TaskStore, namespace: str, identity: str) -> None:
        """`identity` must not be empty: a mark that says nothing would match it."""
        if not identity:
            raise ValueError("an installation needs an identity")
        self._store = store
        self._folder = f"tasks/{namespace}/"
        self._identity = identity
        self._said: dict[str, str] = {}

    async def standing(self, blobs: BlobStore) -> Standing:
        """Return how we stand to this store; see to it that our name is on it. Raises Unavailable."""
        owners = await self.owners(blobs)
        if owners == {self._identity}:
            self._said.pop(blobs.url, None)
            return Standing.OURS
        if others := owners - {self._identity}:
            if self._identity not in owners:
                await self._mark(blobs, owners | {self._identity})
            self._refuse(blobs, f"is also used by installation {', '.join(sorted(others))}")
            return Standing.SHARED
        async with aclosing(self.strangers(blobs)) as strangers:
            async for foreign in strangers:
                self._refuse(blobs, f"has no mark, but holds {self._folder}{foreign}/, which is of no task here")
                return Standing.UNMARKED
        await self._mark(blobs, {self._identity})
        return Standing.NEW

    async def adopt(self, blobs: BlobStore) -> None:
        """Make this store ours, whoever's it is. Raises Unavailable."""
        await self._mark(blobs, {self._identity})

    async def owners(self, blobs: BlobStore) -> frozenset[str]:
        """Return who is on the mark of a store, nobody where there is none. Raises Unavailable."""
        try:
            mark = await blobs.get(self._folder + OWNER)
        except NotFound:
            return frozenset()
        return frozenset(mark.decode(errors="replace").split())

    async def strangers(self, blobs: BlobStore) -> AsyncGenerator[str, None]:
        """Yield the names of folders in a store that belong to no task of ours. Raises Unavailable."""
        for name in await blobs.folders(self._folder):
            try:
                await self._store.get(name)
            except NotFound:
                yield name

    async def _mark(self, blobs: BlobStore, owners: Set[str]) -> None:
        lines = sorted(owners)
        await blobs.put(self._folder + OWNER, "".join(f"{line}\n" for line in lines).encode())
        log.info("marked %s in %s as used by %s", self._folder, blobs.url, ", ".join(lines))

    def _refuse(self, blobs: BlobStore, why: str) -> None:
        """Say so once, not at every look."""
        if self._said.get(blobs.url) == why:
            return
        self._said[blobs.url] = why
        log.warning(
            "forgotten files in %s are not removed: it %s, and this is installation %s. Give each installation a "
            "bucket or prefix of its own. If all files there are this one's, `velum adopt` makes its name the only "
            "content of %s%s",
            *(blobs.url, why, self._identity, self._folder, OWNER),
        )
