"""The RayService that KubeRay runs for us: what we write into it, and what its status says. Pure.

The chart keeps the resource in a ConfigMap, all but `spec.serveConfigV2`, which only we know. We own the RayService
and the ConfigMap owns it, so that it goes with the release, without a finalizer. What matters of KubeRay 1.5 (paths in
its `ray-operator` module):

* A change of `serveConfigV2` is put to the Ray cluster that runs; any change of `rayClusterConfig` but numbers of
  replicas and worker groups added at the end makes KubeRay prepare a second cluster and switch to it
  (`shouldPrepareNewCluster`, controllers/ray/rayservice_controller.go).
* A change of numbers alone (`minReplicas`, `maxReplicas`) is left out of what it compares
  (`generateHashWithoutReplicasAndWorkersToDelete`), so a cluster that runs never hears of it. We tell the RayCluster.
* It switches, and makes the Services `<name>-head-svc` and `<name>-serve-svc` in the first place, when there is an
  application and all are RUNNING (`getAndCheckServeStatus`). So models are served before tasks need them, without
  replicas, and `spared` leaves out what would hold up the others.
* While there are two clusters the document goes to the pending one alone, and the active one's `applicationStatuses`
  are empty (`Reconcile`, `calculateStatus`): what it still serves only its dashboard tells.
* `Ready` is True when `<name>-serve-svc` has endpoints: the head, whose proxy it asks, and workers whose readiness
  probe asks theirs (`updateHeadPodServeLabel`; controllers/ray/common/pod.go, `initLivenessAndReadinessProbe`).
* A spec that it finds at fault changes no status, it only makes an event (`ValidateRayServiceSpec`).
* With `authOptions.mode: token` the token is in the Secret named like the RayCluster, cut to its last 50 characters
  (`CheckName`, controllers/ray/utils/util.go), under `auth_token`.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

import yaml

from velum.errors import Unavailable
from velum_operator.backend import PART, Application
from velum_operator.raywords import shown

Json = dict[str, Any]

API_VERSION = "ray.io/v1"
KEY = "rayservice.yaml"
"""The key of the ConfigMap under which the resource lies."""

MANAGER = "velum-operator"
"""Our name as a field manager, and in the label app.kubernetes.io/managed-by."""

NAME_MAX = 47
"""Longest name of a RayService (MaxRayServiceNameLength): KubeRay works on no longer one, and says so nowhere but in an
event."""

SECRET_NAME_MAX = 50
TOKEN_KEY = "auth_token"  # noqa: S105 - its name


def template_of(configmap: Json) -> Json:
    """Return the resource in the ConfigMap. Raises Unavailable, with what is wrong with it."""
    where = f"ConfigMap {configmap['metadata']['name']!r}"
    text = (configmap.get("data") or {}).get(KEY)
    if text is None:
        raise Unavailable(PART, f"{where} has no key {KEY}; serving.rayservice must name the one that the chart makes")
    try:
        template = yaml.safe_load(text)
        name, spec = template["metadata"]["name"], template["spec"]
        fits = (template["apiVersion"], template["kind"]) == (API_VERSION, "RayService")
        complete = fits and isinstance(spec["rayClusterConfig"], dict) and "serveConfigV2" not in spec
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise Unavailable(PART, f"{where}: {KEY} is no RayService: {error}") from error
    if not complete:
        text = f"a {API_VERSION} RayService with rayClusterConfig and without serveConfigV2"
        raise Unavailable(PART, f"{where}: {KEY} must be {text}")
    if len(str(name)) > NAME_MAX:
        raise Unavailable(PART, f"{where}: {name!r} is too long for KubeRay: at most {NAME_MAX} characters")
    found: Json = template
    return found


def manifest(template: Json, owner: Json, config: Json) -> Json:
    """Return the RayService that serves this document.

    The document is written as JSON, which is YAML that every parser reads alike: to Go's a plain `1e3` is a number, to
    Python's a name.
    """
    body = copy.deepcopy(template)
    meta = body["metadata"]
    meta["labels"] = {**(meta.get("labels") or {}), "app.kubernetes.io/managed-by": MANAGER}
    of = owner["metadata"]
    meta["ownerReferences"] = [{"apiVersion": "v1", "kind": "ConfigMap", "name": of["name"], "uid": of["uid"]}]
    body["spec"]["serveConfigV2"] = json.dumps(config, indent=2, sort_keys=True)
    return body


def document_of(rayservice: Json) -> Json:
    """Return the document that is in it; one without applications when somebody wrote something else there."""
    try:
        found: Json = yaml.safe_load(rayservice["spec"].get("serveConfigV2") or "{}")
        return {**found, "applications": [dict(each) for each in found.get("applications") or ()]}
    except (yaml.YAMLError, TypeError, ValueError, AttributeError):
        return {"applications": []}


def cluster_of(rayservice: Json, which: str) -> str:
    """Return the name of the `active` or the `pending` RayCluster, "" when there is none."""
    return str(((rayservice.get("status") or {}).get(f"{which}ServiceStatus") or {}).get("rayClusterName") or "")


def renumbered(template: Json, cluster: Json) -> list[Json] | None:
    """Return a RayCluster's worker groups with the template's limits of pods, None where they have them already.

    `replicas`, which lie between them, are Ray's autoscaler's, and groups that one of the two lacks are KubeRay's.
    """
    wanted = {each["groupName"]: each for each in template["spec"]["rayClusterConfig"].get("workerGroupSpecs") or ()}
    groups: list[Json] = cluster["spec"].get("workerGroupSpecs") or []
    new = [{**each, **_limits(wanted.get(each["groupName"], {}))} for each in groups]
    return new if new != groups else None


def _limits(group: Json) -> Json:
    return {key: group[key] for key in ("minReplicas", "maxReplicas") if key in group}


def token_secret(cluster: str) -> str:
    """Return the name of the Secret with the token of this RayCluster."""
    name = cluster[-SECRET_NAME_MAX:]
    return name if name[0].isalpha() else f"r{name[1:]}"


def wants_token(template: Json) -> bool:
    """Tell whether Ray's dashboard wants a token."""
    return (template["spec"]["rayClusterConfig"].get("authOptions") or {}).get("mode") == "token"


def endpoints_of(rayservice: Json) -> int:
    """Return how many Ray pods take requests."""
    return int((rayservice.get("status") or {}).get("numServeEndpoints") or 0)


def applications_of(rayservice: Json, told: Mapping[str, Application] | None) -> dict[str, Application]:
    """Return how each application of its document stands.

    Args:
        rayservice: as KubeRay left it.
        told: what the dashboard of the active cluster says, None when it was not asked or did not answer.
    """
    names = [str(each["name"]) for each in document_of(rayservice)["applications"]]
    waits = trouble_of(rayservice)
    if waits:
        return {name: Application("NOT_STARTED", waits, None) for name in names}
    reported = _reported(rayservice, "active")
    preparing, pending = cluster_of(rayservice, "pending"), _reported(rayservice, "pending")
    found: dict[str, Application] = {}
    for name in names:
        now = (told or {}).get(name) or reported.get(name)
        if now is None:
            words = f"waits for the new Ray cluster {preparing}" if preparing else "is being handed to Ray by KubeRay"
            now = Application("DEPLOYING", words, None)
        found[name] = _beside(now, preparing, pending.get(name)) if preparing else now
    # What Ray still serves although it is in the document no more: it goes, and the keeper has to know of it.
    return found | {name: each for name, each in (told or {}).items() if name not in found}


def trouble_of(rayservice: Json) -> str:
    """Return why no request is taken at all, "" when requests are taken."""
    name, status = rayservice["metadata"]["name"], rayservice.get("status") or {}
    ready = next((each for each in status.get("conditions") or () if each["type"] == "Ready"), None)
    if ready is None:
        return f"KubeRay has not worked on RayService {name!r} yet; its events, and KubeRay's log, say why"
    if ready["status"] == "True":
        return ""
    pending = cluster_of(rayservice, "pending")
    text = f"RayService {name!r}: {ready.get('message') or ready.get('reason')}"
    problems = [f"{app} is {each.status}" for app, each in sorted(_reported(rayservice, "pending").items())]
    return text + (f" (Ray cluster {pending}: {', '.join(problems) or 'its head is being started'})" if pending else "")


def failing_in_preparation(rayservice: Json, serving: frozenset[str]) -> dict[str, str]:
    """Return the applications that hold up a Ray cluster in preparation, and why each failed.

    One that serves now (`serving`) is none of them: then it is the new cluster that is at fault, and KubeRay is right
    to keep the old one.
    """
    if not cluster_of(rayservice, "pending"):
        return {}
    return {
        name: each.message
        for name, each in _reported(rayservice, "pending").items()
        if each.status == "DEPLOY_FAILED" and name not in serving
    }


def _reported(rayservice: Json, which: str) -> dict[str, Application]:
    status = (rayservice.get("status") or {}).get(f"{which}ServiceStatus") or {}
    found: dict[str, Application] = {}
    for name, each in (status.get("applicationStatuses") or {}).items():
        deployments = (each.get("serveDeploymentStatuses") or {}).values()
        message = shown(str(each.get("message") or ""), [str(one.get("message") or "") for one in deployments])
        found[name] = Application(str(each.get("status") or "NOT_STARTED"), message, None)
    return found


def _beside(now: Application, preparing: str, pending: Application | None) -> Application:
    """Return the application with a note about the cluster that is to take its place."""
    stands = f"{pending.status} {pending.message}".strip() if pending is not None else "not deployed there yet"
    note = f"Ray cluster {preparing} is being prepared to take over: {stands}"
    return Application(now.status, now.message, now.replicas, note)
