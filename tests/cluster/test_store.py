"""The store port on a real API server, and what only that one does."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from support.apiserver import with_token
from support.operatorkit import until_async
from support.samples import model_spec, spec
from support.storeport import StorePort
from support.storeport.steps import HEADER, WEBHOOK, Seen, full_status, made, moved, removed
from velum.api.meta import new_name
from velum.api.status import Phase
from velum.errors import AlreadyExists, InvalidInput, NotFound, Unavailable
from velum.tasks.kubernetes import KubernetesStore, collection, load_client, watching
from velum.tasks.kubernetes.watching import Watching
from velum.tasks.store import every

CRDS = Path(__file__).resolve().parents[2] / "crds"

BURST = 24
"""Requests at a time, for a server that takes one."""

Connect = Callable[..., Awaitable[KubernetesStore]]


@pytest.fixture
async def connect(controlplane: Any, namespace: str) -> AsyncIterator[Connect]:
    stores: list[KubernetesStore] = []

    async def connected(*, namespace: str = namespace, kubeconfig: Path | None = None) -> KubernetesStore:
        stores.append(KubernetesStore(await load_client(kubeconfig or controlplane.kubeconfig), namespace))
        return stores[-1]

    yield connected
    for store in stores:
        await store.aclose()


@pytest.fixture
async def store(connect: Connect) -> KubernetesStore:
    return await connect()


@pytest.fixture
async def other(connect: Connect) -> KubernetesStore:
    return await connect()


class TestKubernetesStore(StorePort):
    pass


class TestRecords:
    async def test_other_finalizers_and_fields_are_left_alone(
        self, store: KubernetesStore, controlplane: Any, namespace: str
    ) -> None:
        task = await made(store)
        add = '[{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/audit"}]'
        controlplane.kubectl("patch", "anontask", task.name, "-n", namespace, "--type=json", "-p", add)
        await store.delete(task.name)
        await store.release(task)
        left = await store.get(task.name)
        assert left.metadata.finalizers == ("example.com/audit",)
        assert left.deleting

    async def test_one_status_write_is_one_request(self, store: KubernetesStore) -> None:
        task = await made(store)
        written = await store.write_status(task, full_status())
        # etcd numbers every write: a second request would show as a second version in between.
        assert written.metadata.resource_version != task.metadata.resource_version
        assert (await store.get(task.name)).metadata.resource_version == written.metadata.resource_version

    async def test_a_spec_that_the_server_refuses_names_its_field(self, store: KubernetesStore) -> None:
        wrong = spec().model_copy(update={"quality": 0, "mask_scale_percent": 400})
        with pytest.raises(InvalidInput) as error:
            await store.create(new_name(), wrong, labels={})
        assert "spec.quality" in str(error.value)
        assert "spec.maskScalePercent" in str(error.value)

    async def test_a_label_that_the_server_refuses_names_its_field(self, store: KubernetesStore) -> None:
        with pytest.raises(InvalidInput) as error:
            await store.create(new_name(), spec(), labels={"velum.dev/created-by": "no spaces"})
        assert error.value.field == "metadata.labels"

    async def test_describe_shows_events(self, store: KubernetesStore, controlplane: Any, namespace: str) -> None:
        task = await made(store)
        await store.record_event(task, "Warning", "WorkerLost", "the replica died")
        shown = controlplane.kubectl("describe", "anontask", task.name, "-n", namespace)
        assert "Warning" in shown
        assert "WorkerLost" in shown
        assert "the replica died" in shown


class TestSecrets:
    async def test_the_secret_is_owned_by_the_task(
        self, store: KubernetesStore, controlplane: Any, namespace: str
    ) -> None:
        task = await store.create(new_name(), spec(webhook=WEBHOOK), labels={}, header=HEADER)
        secret = controlplane.get("secret", f"{task.name}-webhook", "-n", namespace)
        assert secret["type"] == "Opaque"
        assert sorted(secret["data"]) == ["name", "value"]
        (owner,) = secret["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("AnonymizationTask", task.name, task.metadata.uid)

    async def test_it_goes_without_a_garbage_collector(
        self, store: KubernetesStore, controlplane: Any, namespace: str
    ) -> None:
        task = await store.create(new_name(), spec(webhook=WEBHOOK), labels={}, header=HEADER)
        await removed(store, task)
        assert controlplane.kubectl("get", "secret", "-n", namespace, "-o", "name") == ""

    async def test_a_persons_own_secret_is_read_and_never_touched(
        self, store: KubernetesStore, controlplane: Any, namespace: str
    ) -> None:
        name = new_name()
        for secret in ("mine", f"{name}-webhook"):
            pairs = ("--from-literal=name=X-Key", "--from-literal=value=theirs")
            controlplane.kubectl("create", "secret", "generic", secret, *pairs, "-n", namespace)
        task = await made(store, webhook={**WEBHOOK, "headerSecretRef": {"name": "mine"}})
        header = await store.header(task)
        assert header is not None
        assert (header.name, header.value) == ("X-Key", "theirs")
        await removed(store, task)
        # Even under the name that we would have chosen: the header is refused, and the task taken back.
        with pytest.raises(AlreadyExists):
            await store.create(name, spec(webhook=WEBHOOK), labels={}, header=HEADER)
        assert (await store.get(name)).deleting
        await store.release(await store.get(name))
        left = controlplane.kubectl("get", "secret", "-n", namespace, "-o", "name").split()
        assert left == [f"secret/{name}-webhook", "secret/mine"] or left == ["secret/mine", f"secret/{name}-webhook"]

    async def test_a_secret_left_by_a_predecessor_is_replaced(
        self, store: KubernetesStore, controlplane: Any, namespace: str
    ) -> None:
        first = await store.create(new_name(), spec(webhook=WEBHOOK), labels={}, header=HEADER)
        strip = '{"metadata": {"finalizers": null}}'
        controlplane.kubectl("patch", "anontask", first.name, "-n", namespace, "--type=merge", "-p", strip)
        controlplane.kubectl("delete", "anontask", first.name, "-n", namespace)
        second = await store.create(first.name, spec(webhook=WEBHOOK), labels={}, header=HEADER)
        assert await store.header(second) == HEADER
        await store.release(first)  # and a late release of the first does not take the second's
        assert await store.header(second) == HEADER

    async def test_a_secret_without_its_keys_is_named(
        self, store: KubernetesStore, controlplane: Any, namespace: str
    ) -> None:
        controlplane.kubectl("create", "secret", "generic", "odd", "--from-literal=token=x", "-n", namespace)
        task = await made(store, webhook={**WEBHOOK, "headerSecretRef": {"name": "odd"}})
        with pytest.raises(NotFound, match=r"keys name and value of secret 'odd'"):
            await store.header(task)


class TestWatching:
    async def test_what_happened_while_deaf_is_learned_from_a_list(
        self, store: KubernetesStore, other: KubernetesStore
    ) -> None:
        """The server forgets the version that the watch goes on from: 410, list again, and name what vanished."""
        gone, again, stays = [await made(other) for _ in range(3)]
        watch = Watching(store._tasks, type(stays))
        async with aclosing(watch.changes()) as changes:
            known = {change.resource.name: change.resource for change in [await anext(changes) for _ in range(3)]}
            assert set(known) == {gone.name, again.name, stays.name}
            await removed(other, gone)
            await removed(other, again)
            successor = await made(other, again.name)
            changed = await moved(other, stays, Phase.RUNNING)
            watch._version = "1"
            seen = [await anext(changes) for _ in range(4)]
        told = [(change.present, change.resource.name, change.resource.metadata.uid) for change in seen]
        assert sorted(told[:2]) == sorted((False, each.name, each.metadata.uid) for each in (gone, again))
        assert sorted(told[2:]) == sorted((True, each.name, each.metadata.uid) for each in (successor, changed))

    async def test_a_long_list_comes_in_pages(
        self, store: KubernetesStore, other: KubernetesStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "PAGE", 2)
        names = {(await made(other)).name for _ in range(5)}
        async with aclosing(store.watch()) as events:
            await Seen(events, lambda event: event.task).until(lambda s: set(s.present) == names)

    async def test_watches_that_end_are_begun_again(
        self, store: KubernetesStore, other: KubernetesStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "WATCH_SECONDS", (1, 1))
        monkeypatch.setattr(watching, "RETRY_CAP_SECONDS", 0.01)
        first = await made(other)
        async with aclosing(store.watch()) as events:
            seen = await Seen(events, lambda event: event.task).until(lambda s: first.name in s.present)
            for _ in range(3):
                await other.delete((made_now := await made(other)).name)
                await other.release(made_now)
                await asyncio.wait_for(seen.until(lambda s: made_now.name in {name for _, name, _ in s.log}), 20)
            assert next(iter(seen.present)) == first.name

    async def test_a_namespace_sees_only_its_own(
        self, store: KubernetesStore, connect: Connect, controlplane: Any, namespace: str
    ) -> None:
        elsewhere = await connect(namespace="default")
        mine = await made(store)
        with pytest.raises(NotFound):
            await elsewhere.get(mine.name)
        assert mine.name not in {task.name for task in (await elsewhere.list()).tasks}


class TestTrouble:
    async def test_a_namespace_that_is_not_there(self, connect: Connect) -> None:
        nowhere = await connect(namespace="nowhere")
        with pytest.raises(Unavailable, match='namespaces "nowhere" not found'):
            await made(nowhere)

    async def test_what_we_may_not_do_is_named(
        self, connect: Connect, controlplane: Any, namespace: str, tmp_path: Path
    ) -> None:
        controlplane.kubectl("create", "serviceaccount", "reader", "-n", namespace)
        rules = ("--verb=get,list", "--resource=anonymizationtasks.velum.dev")
        controlplane.kubectl("create", "role", "reader", *rules, "-n", namespace)
        whom = ("--role=reader", f"--serviceaccount={namespace}:reader")
        controlplane.kubectl("create", "rolebinding", "reader", *whom, "-n", namespace)
        token = controlplane.kubectl("create", "token", "reader", "-n", namespace).strip()
        reader = await connect(kubeconfig=with_token(controlplane.kubeconfig, token, tmp_path / "reader"))
        await reader.check()
        with pytest.raises(Unavailable, match=f"not allowed to create anonymizationtasks.velum.dev in .*{namespace}"):
            await made(reader)
        with pytest.raises(Unavailable, match=r"not allowed to watch anonymizationtasks\.velum\.dev"):
            await first_refusal(reader)
        with pytest.raises(Unavailable, match=r"not allowed to list anonymizationmodels\.velum\.dev"):
            await reader.list_models()

    async def test_a_server_that_turns_requests_away_is_asked_again(
        self, connect: Connect, controlplane: Any, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        granted = ("--clusterrole=cluster-admin", f"--serviceaccount={namespace}:busy")
        controlplane.kubectl("create", "serviceaccount", "busy", "-n", namespace)
        controlplane.kubectl("create", "rolebinding", "busy", *granted, "-n", namespace)
        token = controlplane.kubectl("create", "token", "busy", "-n", namespace).strip()
        store = await connect(kubeconfig=with_token(controlplane.kubeconfig, token, tmp_path / "busy"))
        controlplane.apply(*_one_at_a_time(namespace, "busy"))
        try:
            with monkeypatch.context() as patch:
                patch.setattr(collection, "PATIENCE_S", 0.0)
                await until_async(lambda: _turned_away(store))
            monkeypatch.setattr(collection, "PATIENCE_S", 60.0)
            await asyncio.gather(*[made(store) for _ in range(BURST)], first_event(store))
            assert len([task async for task in every(store)]) == BURST
        finally:
            controlplane.kubectl("delete", "flowschemas,prioritylevelconfigurations", "-l", f"for={namespace}")

    async def test_a_token_that_is_not_known(self, connect: Connect, controlplane: Any, tmp_path: Path) -> None:
        stranger = await connect(kubeconfig=with_token(controlplane.kubeconfig, "wrong", tmp_path / "stranger"))
        with pytest.raises(Unavailable, match="Unauthorized"):
            await stranger.check()
        with pytest.raises(Unavailable, match="Unauthorized"):
            await anext(stranger.watch())

    async def test_without_crds_it_says_how_to_get_them(
        self, private_plane: Callable[[], Any], connect: Connect
    ) -> None:
        bare = await connect(kubeconfig=private_plane().kubeconfig, namespace="default")
        for call in (bare.check(), bare.get("one"), made(bare), bare.list_models(), bare.put_model("a", model_spec())):
            with pytest.raises(Unavailable, match=r"kubectl apply -f crds/"):
                await call

    async def test_a_killed_api_server_is_waited_for(
        self, private_plane: Callable[[], Any], connect: Connect, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(watching, "RETRY_CAP_SECONDS", 0.2)
        plane = private_plane()
        plane.kubectl("apply", "--server-side", "-f", CRDS)
        plane.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        watcher = await connect(kubeconfig=plane.kubeconfig, namespace="default")
        writer = await connect(kubeconfig=plane.kubeconfig, namespace="default")
        task = await made(writer)
        async with aclosing(watcher.watch()) as events:
            seen = await Seen(events, lambda event: event.task).until(lambda s: task.name in s.present)
            os.kill(plane.pids()["kube-apiserver"], signal.SIGKILL)
            waiting = asyncio.ensure_future(seen.until(lambda s: s.present[task.name].status.phase is Phase.RUNNING))
            with pytest.raises(Unavailable, match="API server is unavailable"):
                while True:
                    await writer.check()
            restarted = await asyncio.to_thread(plane.up)
            assert restarted.returncode == 0, restarted.stderr
            await moved(writer, await writer.get(task.name), Phase.RUNNING)
            await waiting

    @pytest.mark.parametrize("content", [None, "", "{", "just text", "[]", "apiVersion: v1\nkind: Config\n"])
    async def test_a_kubeconfig_that_is_none(self, tmp_path: Path, content: str | None) -> None:
        file = tmp_path / "kubeconfig"
        write(file, content)
        with pytest.raises(Unavailable, match=r"API server is unavailable: kubeconfig .*kubeconfig"):
            await load_client(file)

    async def test_neither_kubeconfig_nor_pod(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        with pytest.raises(Unavailable, match="no kubeconfig was named and this is no pod"):
            await load_client()


async def first_refusal(store: KubernetesStore) -> None:
    """A watch that may list and not watch tries again for ever; this asks once."""
    async with aclosing(store._tasks.stream({"watch": "true"})) as batches:
        await anext(batches)


async def first_event(store: KubernetesStore) -> None:
    async with aclosing(store.watch()) as events:
        await anext(events)


async def _turned_away(store: KubernetesStore) -> bool:
    """Whether one of many requests at a time was answered with 429."""
    answers = await asyncio.gather(*[store.check() for _ in range(BURST)], return_exceptions=True)
    return any(isinstance(each, Unavailable) and "429" in str(each) for each in answers)


def _one_at_a_time(namespace: str, account: str) -> list[dict[str, Any]]:
    """A priority level with room for one request, and the account's flow to it: others get 429 with Retry-After."""
    metadata = {"name": f"{namespace}-{account}", "labels": {"for": namespace}}
    api = "flowcontrol.apiserver.k8s.io/v1"
    limited = {
        "nominalConcurrencyShares": 0,
        "lendablePercent": 0,
        "borrowingLimitPercent": 0,
        "limitResponse": {"type": "Reject"},
    }
    whom = {"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": account}}
    what = {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    return [
        {
            "apiVersion": api,
            "kind": "PriorityLevelConfiguration",
            "metadata": metadata,
            "spec": {"type": "Limited", "limited": limited},
        },
        {
            "apiVersion": api,
            "kind": "FlowSchema",
            "metadata": metadata,
            "spec": {
                "priorityLevelConfiguration": {"name": metadata["name"]},
                "matchingPrecedence": 100,
                "rules": [{"subjects": [whom], "resourceRules": [what]}],
            },
        },
    ]


def write(file: Path, content: str | None) -> None:
    if content is not None:
        file.write_text(content)
