"""The samples are what people copy: each is taken by the API server without a warning, and can be applied twice."""

from pathlib import Path

import pytest

from support.apiserver import ControlPlane

SAMPLES = sorted((Path(__file__).resolve().parents[2] / "crds" / "samples").glob("*.yaml"))


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda path: path.stem)
def test_is_accepted_when_strict(controlplane: ControlPlane, sample: Path) -> None:
    """As a dry run on the server: nothing is stored, everything is checked."""
    answer = controlplane.try_kubectl("apply", "--dry-run=server", "--validate=strict", "-f", sample)
    assert answer.returncode == 0, answer.stderr
    assert "created (server dry run)" in answer.stdout
    assert not answer.stderr, "no warning either"


def test_all_of_them_can_be_applied_twice(controlplane: ControlPlane, namespace: str) -> None:
    """The second time nothing changes: defaults that the server filled in are no change of an immutable spec."""
    folder = SAMPLES[0].parent
    controlplane.kubectl("apply", "-n", namespace, "--validate=strict", "-f", folder)
    again = controlplane.kubectl("apply", "-n", namespace, "--validate=strict", "-f", folder).splitlines()
    changed = [line for line in again if not line.endswith(" unchanged")]
    # stringData is written only, so the Secret counts as configured each time
    assert changed in ([], ["secret/street-webhook configured"])
    assert len(again) > len(SAMPLES)
