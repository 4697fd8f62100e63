"""What a Helm release needs done around the running parts: `python -m velum_cli.release models|leave`.

`models` makes the AnonymizationModels of the chart's values be what they say. They are no objects of the release: Helm
looks up the kinds of all objects of a release before it installs the first one, and at the first installation our kinds
are among them. They belong to the chart's ConfigMap, so the garbage collector takes them when the release goes.

`leave` runs before a release is uninstalled, while the operator still works. Without an operator nobody takes the
finalizers off tasks, and without KubeRay nobody takes them off Ray clusters: what is being deleted then would stay for
ever, and its namespace with it. So it waits for them to do it, and takes off what is left at the deadline.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
import yaml

from velum.api.meta import API_VERSION
from velum.api.task import AnonymizationTask
from velum.errors import InvalidInput, NotFound, Unavailable
from velum.settings import Settings
from velum.tasks.kubernetes import KubernetesStore, load_client
from velum.tasks.kubernetes.collection import Collection, Json
from velum.tasks.kubernetes.refusals import UnknownType
from velum.tasks.store import every
from velum_cli import flags
from velum_cli.speaking import spoken
from velum_operator.rayservice import API_VERSION as RAY_API_VERSION

MANAGER = "velum-chart"
"""Our name as a field manager."""

TYPES_SECONDS = 60.0
"""How long the models wait for their type to be served: the release that brings it is being installed."""

LOOK_SECONDS = 1.0
"""Between looks at what is going."""

T = TypeVar("T")

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@app.command("models")
def models_command(
    file: Annotated[Path, typer.Option("--file", help="Models as YAML documents.")],
    owner: Annotated[str, typer.Option("--owner", help="ConfigMap that they belong to.")],
    kubeconfig: flags.Kubeconfig = None,
    namespace: flags.Namespace = None,
    config: flags.Config = None,
) -> None:
    """Make the models of a release be what the file says, and remove those that it no longer names."""
    with spoken():
        settings = flags.load(config, controller={"namespace": namespace})
        asyncio.run(_with_client(kubeconfig, lambda client: apply_models(client, settings, file, owner)))


@app.command("leave")
def leave_command(
    tasks: Annotated[str, typer.Option("--tasks", help="keep, or delete all of them with their files.")] = "keep",
    deadline: Annotated[float, typer.Option("--deadline", help="Seconds until finalizers are taken off.")] = 120.0,
    rayservice: Annotated[str, typer.Option("--rayservice", help="RayService to end.")] = "",
    kubeconfig: flags.Kubeconfig = None,
    namespace: flags.Namespace = None,
) -> None:
    """End what would wait for the operator for ever."""
    if tasks not in {"keep", "delete"}:
        raise typer.BadParameter("must be keep or delete", param_hint="--tasks")
    everything = tasks == "delete"
    with spoken():
        settings = flags.load(None, controller={"namespace": namespace})
        asyncio.run(_with_client(kubeconfig, lambda client: leave(client, settings, everything, deadline, rayservice)))


async def apply_models(client: Any, settings: Settings, file: Path, owner: str) -> None:
    """Apply the file's models as parts of the ConfigMap `owner`, and remove those of it that the file lacks.

    Raises:
        InvalidInput: the file holds something else, or the API server refuses a model.
        Unavailable: no API server, no rights, or no such type after a minute.
        NotFound: there is no such ConfigMap.
    """
    wanted = _documents(file)
    namespace = settings.controller.namespace
    of = (await _configmaps(client, namespace).get(owner))["metadata"]
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": of["name"], "uid": of["uid"]}
    collection = _models(client, namespace)
    page = await _served(collection)
    for name, model in wanted.items():
        model["metadata"]["ownerReferences"] = [reference]
        await collection.apply(name, model, manager=MANAGER)
        _say(f"model {name} is what the values say")
    for old in page["items"] or ():
        name = old["metadata"]["name"]
        if name not in wanted and _belongs(old, owner):
            with suppress(NotFound):
                await collection.delete(name, uid=old["metadata"]["uid"])
            _say(f"model {name} is no longer in the values, and removed")


async def leave(client: Any, settings: Settings, everything: bool, deadline: float, rayservice: str) -> None:
    """Let go of tasks, and with `rayservice` end Ray, while those who have finalizers on them still run.

    Args:
        everything: delete all tasks; else only those that are being deleted already are let go.
        deadline: seconds until finalizers are taken off.
        rayservice: the name of the RayService to end, empty for none.

    Raises:
        Unavailable: no API server, or no rights.
    """
    end = time.monotonic() + deadline
    namespace = settings.controller.namespace
    store = KubernetesStore(client, namespace)
    try:
        await asyncio.gather(
            _tasks_go(store, everything=everything, end=end), _ray_goes(client, namespace, rayservice, end)
        )
    except UnknownType as error:
        _say(f"nothing to let go: {error}")


async def _tasks_go(store: KubernetesStore, *, everything: bool, end: float) -> None:
    async def left() -> list[AnonymizationTask]:
        return [task async for task in every(store) if everything or task.deleting]

    for task in await left():
        if not task.deleting:
            with suppress(NotFound):
                await store.delete(task.name)
    for task in await _gone(left, end):
        await store.release(task)
        _say(f"task {task.name} is let go; its files stay in {{input,output}}/tasks/{task.name}/")


async def _ray_goes(client: Any, namespace: str, rayservice: str, end: float) -> None:
    """Remove the RayService and the ConfigMap that the operator would make it from, and wait for its clusters."""
    if not rayservice:
        return
    with suppress(NotFound):
        await _configmaps(client, namespace).delete(f"{rayservice}-ray")
    clusters = _ray(client, namespace, "rayclusters")

    async def left() -> list[Json]:
        return list((await clusters.page({"labelSelector": f"ray.io/originated-from-cr-name={rayservice}"}))["items"])

    with suppress(UnknownType):
        with suppress(NotFound):
            await _ray(client, namespace, "rayservices").delete(rayservice)
        for cluster in await _gone(left, end):
            with suppress(NotFound):
                await clusters.patch(cluster["metadata"]["name"], {"metadata": {"finalizers": None}})
            _say(f"Ray cluster {cluster['metadata']['name']} is let go")


async def _gone(left: Callable[[], Awaitable[list[T]]], end: float) -> list[T]:
    """Wait until nothing is left or the time has come; return what is left."""
    while True:
        found = await left()
        if not found or time.monotonic() >= end:
            return found
        await asyncio.sleep(LOOK_SECONDS)


async def _served(collection: Collection) -> Json:
    """Return the list of models as soon as their type is served. Raises Unavailable."""
    end = time.monotonic() + TYPES_SECONDS
    while True:
        try:
            return await collection.page({})
        except Unavailable:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(LOOK_SECONDS)


def _documents(file: Path) -> dict[str, Json]:
    try:
        documents = [each for each in yaml.safe_load_all(file.read_text()) if each]
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInput("--file", f"{file}: {error}") from error
    for each in documents:
        if not isinstance(each, dict) or (each.get("apiVersion"), each.get("kind")) != (
            API_VERSION,
            "AnonymizationModel",
        ):
            raise InvalidInput("--file", f"{file} must hold AnonymizationModels of {API_VERSION} and nothing else")
    try:
        return {str(each["metadata"]["name"]): each for each in documents}
    except (KeyError, TypeError) as error:
        raise InvalidInput("--file", f"{file} holds a model without metadata.name") from error


def _belongs(model: Json, owner: str) -> bool:
    references = model["metadata"].get("ownerReferences") or ()
    return any((each["kind"], each["name"]) == ("ConfigMap", owner) for each in references)


def _configmaps(client: Any, namespace: str) -> Collection:
    return Collection(client, api="/api/v1", resource="configmaps", kind="ConfigMap", namespace=namespace)


def _models(client: Any, namespace: str) -> Collection:
    api = f"/apis/{API_VERSION}"
    return Collection(client, api=api, resource="anonymizationmodels", kind="model", namespace=namespace)


def _ray(client: Any, namespace: str, resource: str) -> Collection:
    return Collection(client, api=f"/apis/{RAY_API_VERSION}", resource=resource, kind=resource, namespace=namespace)


async def _with_client(kubeconfig: Path | None, work: Callable[[Any], Awaitable[None]]) -> None:
    client = await load_client(kubeconfig)
    try:
        await work(client)
    finally:
        await client.close()


def _say(line: str) -> None:
    typer.echo(line, err=True)


if __name__ == "__main__":
    app()
