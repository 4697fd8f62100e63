"""`velum adopt`: storage of an installation that is gone becomes this one's, so that forgotten files are removed again.

An installation removes files without a task only where it is alone (`velum_operator.ownership`). After a reinstallation
in a namespace that was made anew, or with a database that was lost, the mark still holds a name that nobody has any
more. No program can know that; so a person looks at what this command shows, and then says `--yes`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import typer

from velum.clock import SystemClock
from velum.errors import InvalidInput, NotFound
from velum.settings import Settings
from velum.storage import Storage
from velum.tasks.kubernetes import KubernetesStore, load_client
from velum.tasks.sqlite import SqliteStore
from velum.tasks.store import TaskStore
from velum_cli.folders import DataFolder
from velum_operator.janitor import stores
from velum_operator.lease import NAME, lease_collection
from velum_operator.ownership import Ownership

SHOWN = 5
"""Folders that are named: enough to look at, and to see whether they are known."""


async def adopt(settings: Settings, kubeconfig: Path | None, data: Path | None, *, yes: bool) -> None:
    """Show whose the stores are and what in them belongs to no task; with `yes` make them ours alone.

    Args:
        settings: `storage` and `controller`.
        kubeconfig: how the API server is reached; None for the pod's service account. Not used with `data`.
        data: data folder of a `velum up`.
        yes: whether anything is changed.

    Raises:
        InvalidInput: there is no such installation.
        Unavailable: storage or the tasks cannot be read.
    """
    storage = Storage.open(settings.storage.input, settings.storage.output)
    async with _installation(settings, kubeconfig, data) as (store, identity):
        namespace = settings.controller.namespace
        ownership = Ownership(store, namespace, identity)
        typer.echo(f"this is installation {identity}")
        for blobs in stores(storage):
            owners = await ownership.owners(blobs)
            strangers = [name async for name in ownership.strangers(blobs)]
            _show(f"{blobs.url}/tasks/{namespace}/", sorted(owners - {identity}), strangers)
            if yes and owners != {identity}:
                await ownership.adopt(blobs)
                typer.echo("  is this installation's alone from now on")
    if not yes:
        typer.echo(
            "Nothing was changed. With --yes these stores become this installation's alone, and folders of no task are "
            f"removed once they are older than {settings.controller.orphan_seconds:g} s. First see to it that no other "
            "installation works on them."
        )


def _show(place: str, others: Sequence[str], strangers: Sequence[str]) -> None:
    typer.echo(place)
    typer.echo(f"  marked as used by {', '.join(others)}" if others else "  marked as used by no other installation")
    named = ", ".join(strangers[:SHOWN]) + (", …" if len(strangers) > SHOWN else "")
    typer.echo(f"  folders of no task: {len(strangers)}{f' ({named})' if named else ''}")


@asynccontextmanager
async def _installation(
    settings: Settings, kubeconfig: Path | None, data: Path | None
) -> AsyncIterator[tuple[TaskStore, str]]:
    """Give the tasks, and the name under which their installation marks storage."""
    if data is not None:
        database = DataFolder(data).database
        if not database.is_file():
            raise InvalidInput("--data", f"{data} is the data folder of no velum: it has no {database.name}")
        async with SqliteStore(database, SystemClock()) as local:
            yield local, await local.identity()
        return
    client = await load_client(kubeconfig)
    namespace = settings.controller.namespace
    async with KubernetesStore(client, namespace) as store:
        try:
            lease = await lease_collection(client, namespace).get(NAME)
        except NotFound as error:
            raise InvalidInput(
                "--namespace", f"no operator has ever worked in {namespace}: it has no lease {NAME}"
            ) from error
        yield store, str(lease["metadata"]["uid"])
