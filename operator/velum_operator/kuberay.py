"""Models served by a RayService that we own and KubeRay runs (`velum_operator.rayservice` tells how that works).

Every look reads the ConfigMap and the RayService. Nothing is kept that another process could not find out: after a
restart the same document is applied once more, which changes nothing.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from velum.errors import Conflict, InvalidInput, NotFound, Unavailable
from velum.settings import ServingSettings
from velum.tasks.kubernetes.collection import Collection, Json
from velum_operator.backend import PART, Application, Deployed
from velum_operator.errors import ServingRefused
from velum_operator.rayapi import RayClient
from velum_operator.rayservice import (
    API_VERSION,
    MANAGER,
    applications_of,
    cluster_of,
    document_of,
    endpoints_of,
    failing_in_preparation,
    manifest,
    renumbered,
    template_of,
    wants_token,
)
from velum_operator.raytoken import OrderTokens, token_of
from velum_operator.workergroups import shortfalls, worker_groups

log = logging.getLogger(__name__)

REMEDY = "install KubeRay (values kuberay.enabled), or name a Ray that exists (ray.mode: external)"

UNKNOWN_FIELD = "field not declared in schema"
"""In what the API server says of an applied field that the type lacks. The answer is a 500, as if it were at fault."""

OTHER_KUBERAY = "the KubeRay that is installed has no such field: another version than the chart is made for (1.5)"

ASK_SECONDS = 5.0
"""How long the dashboard may take: what it adds to KubeRay's word is not worth a longer wait of all models."""

SPARED = "is left out until a Ray cluster serves, so that it holds up no other model"


class KubeRayService:
    """One RayService: writes the serving document into it, and reads how the models stand."""

    in_advance = True  # without replicas they cost nothing, and KubeRay calls no cluster ready that has no application

    def __init__(self, client: Any, namespace: str, settings: ServingSettings) -> None:
        def collection(api: str, resource: str, kind: str, **more: str) -> Collection:
            return Collection(client, api=api, resource=resource, kind=kind, namespace=namespace, **more)

        self._configmaps = collection("/api/v1", "configmaps", "ConfigMap")
        self._secrets = collection("/api/v1", "secrets", "Secret")
        self._rayservices = collection(f"/apis/{API_VERSION}", "rayservices", "RayService", remedy=REMEDY)
        self._rayclusters = collection(f"/apis/{API_VERSION}", "rayclusters", "RayCluster", remedy=REMEDY)
        self._namespace = namespace
        self._settings = settings
        self._numbered, self._refused = ("", ""), ""
        self._written: tuple[Any, ...] = ()
        self._spared: dict[str, tuple[str, str]] = {}
        self._versions: dict[str, str] = {}
        self._silent = ""
        self._tokens = OrderTokens(self._active_token)

    async def deployed(self) -> Deployed:
        """Return how the models stand. Raises Unavailable."""
        owner, template = await self._template()
        try:
            found = await self._rayservices.get(template["metadata"]["name"])
        except NotFound:
            return Deployed(stale=True)
        await self._renumber(cluster_of(found, "active"), owner, template)
        told = await self._ask(found, template) if cluster_of(found, "active") else None
        self._spare(found, told or {})
        applications = applications_of(found, told)
        applications |= {name: Application("DEPLOY_FAILED", why, 0, SPARED) for name, (_, why) in self._spared.items()}
        notes = self._notes(found, template)
        noted = {name: _noted(each, notes.get(name, "")) for name, each in applications.items()}
        return Deployed(noted, self._mark(owner, found) != self._written, endpoints_of(found))

    async def apply(self, config: Json) -> None:
        """Write the document into the RayService; whatever else the ConfigMap says is applied with it.

        Raises Unavailable, and ServingRefused when the API server finds it at fault.
        """
        owner, template = await self._template()
        served, name = self._sparing(config), template["metadata"]["name"]
        where = f"RayService {name!r} of ConfigMap {owner['metadata']['name']!r}"
        try:
            found = await self._rayservices.apply(name, manifest(template, owner, served), manager=MANAGER)
        except InvalidInput as error:
            raise ServingRefused(f"{where}: {error}") from error
        except (NotFound, Conflict) as error:
            raise Unavailable(PART, f"{where}: {error}") from error
        except Unavailable as error:
            if UNKNOWN_FIELD not in error.why:
                raise
            raise ServingRefused(f"{where}: {error.why}; {OTHER_KUBERAY}") from error
        self._written = self._mark(owner, found)

    async def _template(self) -> tuple[Json, Json]:
        try:
            owner = await self._configmaps.get(self._settings.rayservice)
        except NotFound as error:
            text = f"in namespace {self._namespace!r}; the chart makes it, serving.rayservice names it"
            raise Unavailable(PART, f"there is no ConfigMap {self._settings.rayservice!r} {text}") from error
        return owner, template_of(owner)

    def _mark(self, owner: Json, found: Json) -> tuple[Any, ...]:
        """Return what changes when the RayService has to be written again: its template, it itself, whom we spare."""
        meta = found["metadata"]
        return owner["metadata"]["resourceVersion"], meta["uid"], meta["generation"], tuple(sorted(self._spared))

    async def _renumber(self, cluster: str, owner: Json, template: Json) -> None:
        """Hand the limits of the worker groups on to the cluster that runs, once for each version of the template."""
        mark = (cluster, str(owner["metadata"]["resourceVersion"]))
        if not cluster or self._numbered == mark:
            return
        try:
            found = await self._rayclusters.get(cluster)
            groups = renumbered(template, found)
            if groups is not None:
                version = {"resourceVersion": found["metadata"]["resourceVersion"]}  # the autoscaler writes there, too
                await self._rayclusters.patch(cluster, {"metadata": version, "spec": {"workerGroupSpecs": groups}})
                log.info("Ray cluster %s has the new limits of its worker groups", cluster)
        except (NotFound, Conflict):
            return  # it goes, or the autoscaler was faster: the next look tells
        except (InvalidInput, Unavailable) as error:
            if self._refused != str(error):
                log.warning("Ray cluster %s keeps the limits of its worker groups: %s", cluster, error)
            self._refused = str(error)
            return
        self._numbered, self._refused = mark, ""

    # What holds up a new cluster

    def _spare(self, found: Json, told: Mapping[str, Application]) -> None:
        if not cluster_of(found, "pending"):
            self._spared.clear()  # a cluster serves: what fails now fails alone
            return
        serving = frozenset(name for name, each in told.items() if each.status == "RUNNING")
        failing = failing_in_preparation(found, serving)
        for each in document_of(found)["applications"]:
            if each["name"] in failing and each["name"] not in self._spared:
                log.warning("model %s %s: %s", each["name"], SPARED, failing[each["name"]])
                self._spared[each["name"]] = (_digest(each), failing[each["name"]])

    def _sparing(self, config: Json) -> Json:
        """Return the document without those that are left out; one that has changed since it failed is tried again."""
        digests = {each["name"]: _digest(each) for each in config["applications"]}
        self._spared = {name: was for name, was in self._spared.items() if digests.get(name) == was[0]}
        return {**config, "applications": [each for each in config["applications"] if each["name"] not in self._spared]}

    # The token of work orders

    async def token(self, refused: str | None = None) -> str:
        """Return the token of the Ray cluster that serves, "" where it has none. Raises Unavailable."""
        given = self._settings.token
        return given.get_secret_value() if given is not None else await self._tokens.get(refused)

    async def _active_token(self) -> str:
        _, template = await self._template()
        try:
            found = await self._rayservices.get(template["metadata"]["name"])
        except NotFound as error:
            raise Unavailable(PART, f"RayService {template['metadata']['name']!r} is not there yet") from error
        cluster = cluster_of(found, "active")
        if not cluster:
            raise Unavailable(PART, f"no Ray cluster of RayService {template['metadata']['name']!r} serves yet")
        token = await token_of(self._secrets, cluster)
        return token.get_secret_value() if token is not None else ""

    # What only Ray's dashboard tells

    async def _ask(self, found: Json, template: Json) -> dict[str, Application] | None:
        """Return what the active cluster's dashboard says, None when it cannot be asked: then KubeRay's word counts."""
        cluster = cluster_of(found, "active")
        try:
            token = self._settings.token
            if token is None and wants_token(template):
                token = await token_of(self._secrets, cluster)
                if token is None:
                    raise Unavailable(PART, f"Ray cluster {cluster!r} has no Secret with its token yet")
            settings = self._settings.model_copy(update={"token": token})
            async with asyncio.timeout(ASK_SECONDS), RayClient(settings) as ray:
                if cluster not in self._versions:
                    self._versions = {cluster: await ray.version()}
                told = dict((await ray.deployed()).applications)
        except (Unavailable, TimeoutError, ValueError, KeyError, TypeError) as error:
            why = str(error) or f"{self._settings.dashboard} gave no answer within {ASK_SECONDS:g} s"
            if self._silent != why:
                log.warning("numbers of replicas are not known: %s", why)
            self._silent = why
            return None
        self._silent = ""
        return told

    def _notes(self, found: Json, template: Json) -> dict[str, str]:
        applications = document_of(found)["applications"]
        notes = shortfalls(worker_groups(template), applications)
        said = str(template["spec"]["rayClusterConfig"].get("rayVersion") or "")
        runs = self._versions.get(cluster_of(found, "active"), said)
        if said and runs != said:
            text = f"the worker image has Ray {runs}, but ray.version says {said}: KubeRay goes by the latter"
            notes |= {each["name"]: _joined(notes.get(each["name"], ""), text) for each in applications}
        return notes


def _noted(application: Application, note: str) -> Application:
    return replace(application, note=_joined(application.note, note))


def _joined(*texts: str) -> str:
    return "; ".join(text for text in texts if text)


def _digest(application: Json) -> str:
    return hashlib.sha256(json.dumps(application, sort_keys=True).encode()).hexdigest()
