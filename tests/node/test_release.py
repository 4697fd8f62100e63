"""The release on a real node, from `helm install` on: each test finds what the one before left (see test_uninstall)."""

from __future__ import annotations

import json
import threading
from typing import Any

import httpx
import pytest
import yaml

from support.clusterkit import PARTS, RELEASE, Cluster, Rest, until
from support.release import FIRST_REPLICA_S, ROOT, VALUES, another_ray_takes_over, ids, install, is_hidden, upgrade
from velum_ingress.schemas import Task

SAMPLES = sorted((ROOT / "crds" / "samples").glob("*.yaml"))


def test_helm_installs_it(cluster: Cluster) -> None:
    install(cluster)


def test_kuberay_brings_up_a_head_and_no_worker(cluster: Cluster) -> None:
    until(lambda: bool(cluster.pods("head")), FIRST_REPLICA_S, "KubeRay made no head")
    cluster.kubectl("wait", "pod", "-l", PARTS["head"], "--for=condition=Ready", "--timeout=600s", timeout=620)
    assert cluster.pods("worker") == [], "scale to zero: nobody has asked for anything"


def test_helm_test_passes(cluster: Cluster) -> None:
    cluster.helm("test", RELEASE, "--timeout=15m", "--logs")
    assert cluster.pods("worker"), "the picture was hidden by a worker that came for it"


def test_the_model_tells_that_it_is_ready_and_how_many_replicas_run(
    cluster: Cluster, rest: Rest, picture: bytes
) -> None:
    def status() -> dict[str, Any]:
        found: dict[str, Any] = cluster.get("anonmodel", "default").get("status", {})
        return found

    def ready() -> bool:
        conditions = {condition["type"]: condition["status"] for condition in status().get("conditions", [])}
        return conditions.get("Ready") == "True"

    def counted() -> bool:  # while there is work: an idle replica goes
        assert rest.post(picture).status_code == 200
        return bool(status().get("replicas", 0))

    until(ready, 120, lambda: json.dumps(status(), indent=1))
    until(counted, 120, lambda: json.dumps(status(), indent=1))


def test_every_sample_ends_as_it_says(cluster: Cluster, stored: None, receiver: str) -> None:
    """Those that name an address of the internet get one of the receiver."""
    for sample in SAMPLES:
        text = (
            sample.read_text()
            .replace("https://example.com/pictures", receiver)
            .replace("https://example.com", receiver)
        )
        cluster.kubectl("apply", "-f", "-", given=text.replace("/hooks/velum", "/hook"))
    names = [
        document["metadata"]["name"]
        for sample in SAMPLES
        for document in yaml.safe_load_all(sample.read_text())
        if document["kind"] == "AnonymizationTask"
    ]
    assert len(names) > 8
    active = [f"anontask/{name}" for name in names if name != "street-later"]
    cluster.kubectl("wait", *active, "--for=condition=Complete", "--timeout=900s", timeout=920)
    cluster.kubectl("wait", "anontask/street-later", "--for=condition=Suspended", "--timeout=60s")
    cluster.kubectl("patch", "anontask", "street-later", "--type=merge", "-p", '{"spec": {"suspend": false}}')
    cluster.kubectl("wait", "anontask/street-later", "--for=condition=Complete", "--timeout=300s", timeout=320)
    assert any(file.is_file() for file in (cluster.volume / "output" / "done").rglob("*")), "nothing at the destination"


@pytest.mark.parametrize("kind", ["picture", "video"])
@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
def test_the_rest_api_hides(
    rest: Rest, calls: Rest, receiver: str, picture: bytes, clip: bytes, kind: str, asynchronous: bool
) -> None:
    data = picture if kind == "picture" else clip
    headers = {"web-auth-header-name": "X-Api-Key", "web-auth-header-value": f"{kind}{asynchronous}"}
    answer = rest.post(data, f"face=true&webhook={receiver}/hook", asynchronous, **headers)
    assert answer.status_code == (202 if asynchronous else 200), answer.text
    task = rest.ended(answer.json()["id"])
    Task.model_validate(task)
    assert (task["status"], task["error"]) == ("done", None)
    if kind == "picture":
        is_hidden(rest, task, picture)
    else:
        film = rest.download(task["anonymised_link"])
        assert film.headers["content-type"] == "video/mp4"
        assert film.content[4:8] == b"ftyp"
        assert task["frames_done"] == 20

    def called() -> bool:
        heard = rest_calls(calls)
        return any(
            call["body"]["id"] == task["id"] and call["headers"]["x-api-key"] == f"{kind}{asynchronous}"
            for call in heard
        )

    until(called, 60, "the webhook was not called")


def rest_calls(calls: Rest) -> list[dict[str, Any]]:
    """What the receiver was told."""
    found: list[dict[str, Any]] = calls.download("/calls").json()
    return [call for call in found if "id" in call["body"]]


def test_an_upgrade_keeps_running_tasks(cluster: Cluster, rest: Rest, picture: bytes, long_clip: bytes) -> None:
    names = ids([rest.post(long_clip, "face=true", True), *(rest.post(picture, "face=true", True) for _ in range(5))])
    change = ["--set=operator.logLevel=debug", "--set=ingress.logLevel=debug", "--set=ingress.replicas=3"]
    upgrade(cluster, "-f", ROOT / VALUES, *change)
    assert [rest.ended(name)["status"] for name in names] == ["done"] * len(names)
    assert len(cluster.pods("ingress")) == 3


def test_another_ray_takes_over_and_loses_nothing(
    cluster: Cluster, rest: Rest, picture: bytes, long_clip: bytes
) -> None:
    """KubeRay starts a second Ray cluster beside the first, and then removes that one."""
    change = ["--set=ray.head.extraEnv[0].name=STEP,ray.head.extraEnv[0].value=upgraded,ray.deletionDelaySeconds=5"]
    another_ray_takes_over(
        cluster, rest, picture, long_clip, lambda: upgrade(cluster, "--reset-then-reuse-values", *change)
    )


def test_work_brings_a_second_worker(cluster: Cluster, rest: Rest, picture: bytes, long_clip: bytes) -> None:
    films = ids(rest.post(long_clip, "face=true", True) for _ in range(4))
    names = films + ids(rest.post(picture, "face=true", True) for _ in range(20))

    def two_or_nothing_left() -> bool:
        return len(cluster.pods("worker")) == 2 or all(rest.task(name)["status"] == "done" for name in films)

    until(two_or_nothing_left, 900, "the work does not end")
    assert len(cluster.pods("worker")) == 2, "all was done by one worker"
    assert [rest.ended(name, 900)["status"] for name in names] == ["done"] * len(names)


@pytest.mark.parametrize("part", ["ingress", "operator", "worker", "head", "kuberay"])
def test_killing_a_pod_loses_nothing(cluster: Cluster, rest: Rest, picture: bytes, long_clip: bytes, part: str) -> None:
    """Tasks are accepted before, while and after every pod of this kind is killed; all of them end well."""
    names = ids([rest.post(long_clip, "face=true", True), *(rest.post(picture, "face=true", True) for _ in range(4))])
    until(lambda: any(rest.task(name)["status"] == "processing" for name in names), FIRST_REPLICA_S, "nothing runs")
    answers: list[httpx.Response] = []
    sender = threading.Thread(target=lambda: answers.extend(rest.post(picture, "face=true", True) for _ in range(8)))
    sender.start()
    victims = cluster.pods(part)
    assert victims
    cluster.kubectl("delete", "pod", *victims, "--force", "--grace-period=0", timeout=180)
    sender.join()
    names += ids(answers)
    documents = [rest.ended(name, 900) for name in names]
    assert [document["status"] for document in documents] == ["done"] * 13, documents
    is_hidden(rest, documents[1], picture)
    if part != "worker":  # those go when there is no work
        until(lambda: bool(set(cluster.pods(part)) - set(victims)), 300, f"no new {part}")


def test_a_drain_spares_the_service_and_loses_nothing(cluster: Cluster, rest: Rest, picture: bytes) -> None:
    """With nowhere to go, what was evicted waits; the disruption budget keeps the ingress up; after it all goes on."""
    until(lambda: len(cluster.pods("ingress")) == 3, 300, "three ingress pods after the upgrade")
    cluster.kubectl("rollout", "status", "deployment/velum-ingress", "--timeout=300s", timeout=320)
    cluster.kubectl("cordon", "velum-node")
    try:
        before = cluster.pods("operator")
        selected = "--pod-selector=app.kubernetes.io/component in (operator, ingress)"
        with pytest.raises(AssertionError, match=r"disruption budget|global timeout"):
            cluster.kubectl("drain", "velum-node", selected, "--delete-emptydir-data", "--timeout=40s")
        assert set(cluster.pods("operator")) != set(before)
        names = ids(rest.post(picture, "face=true", True) for _ in range(3))
        assert {rest.task(name)["status"] for name in names} == {"queued"}
    finally:
        cluster.kubectl("uncordon", "velum-node")
    assert [rest.ended(name, 900)["status"] for name in names] == ["done"] * 3


def test_a_running_video_is_suspended_and_goes_on(cluster: Cluster, rest: Rest, long_clip: bytes) -> None:
    (name,) = ids([rest.post(long_clip, "face=true", True)])
    until(lambda: rest.task(name)["status"] == "processing", FIRST_REPLICA_S, "it does not begin")
    cluster.kubectl("patch", "anontask", name, "--type=merge", "-p", '{"spec": {"suspend": true}}')
    cluster.kubectl("wait", f"anontask/{name}", "--for=condition=Suspended", "--timeout=120s", timeout=140)
    assert rest.task(name)["status"] == "queued"
    cluster.kubectl("patch", "anontask", name, "--type=merge", "-p", '{"spec": {"suspend": false}}')
    assert rest.ended(name)["status"] == "done"
