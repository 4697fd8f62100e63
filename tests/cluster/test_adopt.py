"""`velum adopt` in a cluster: who is installed there, and what only another installation knew."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from velum.clock import SystemClock
from velum.storage import Storage
from velum.tasks.kubernetes import load_client
from velum_operator.lease import Leadership, lease_collection

if TYPE_CHECKING:
    from conftest import ControlPlane


def adopt(plane: ControlPlane, namespace: str, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    where = [f"--kubeconfig={plane.kubeconfig}", f"--namespace={namespace}"]
    stores = [f"--input={folder / 'in'}", f"--output={folder / 'out'}"]
    argv = [sys.executable, "-m", "velum_cli.main", "adopt", *where, *stores, *flags]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


async def test_storage_of_a_namespace_that_was_made_anew(
    controlplane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    refused = adopt(controlplane, namespace, tmp_path, "--yes")
    assert refused.returncode == 2
    assert f"no operator has ever worked in {namespace}" in refused.stderr
    client = await load_client(controlplane.kubeconfig)
    try:
        leadership = Leadership(lease_collection(client, namespace), "operator-1", SystemClock())
        await leadership.acquire()
    finally:
        await client.close()
    storage = Storage.open((tmp_path / "in").as_uri(), (tmp_path / "out").as_uri())
    mark = f"tasks/{namespace}/.owner"
    await storage.outputs.put(mark, b"lease-of-the-old-namespace\n")
    await storage.outputs.put(f"tasks/{namespace}/gone/attempts/u-1/anonymised.jpg", b"result")
    told = adopt(controlplane, namespace, tmp_path)
    assert told.returncode == 0, told.stderr
    assert "marked as used by lease-of-the-old-namespace" in told.stdout
    assert "folders of no task: 1 (gone)" in told.stdout
    assert await storage.outputs.get(mark) == b"lease-of-the-old-namespace\n"
    done = adopt(controlplane, namespace, tmp_path, "--yes")
    assert done.returncode == 0, done.stderr
    uid = controlplane.get("lease", "velum-operator", "-n", namespace)["metadata"]["uid"]
    assert leadership.uid == uid
    for store in (storage.inputs, storage.outputs):
        assert (await store.get(mark)).decode() == f"{uid}\n"
