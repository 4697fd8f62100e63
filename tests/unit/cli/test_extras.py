"""Each command of a cluster starts with the packages of its own extra only: that is all its image holds."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from velum_cli.sample import sample_picture

ROOT = Path(__file__).resolve().parents[3]
WITHOUT = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

BLOCKED = set(sys.argv.pop(1).split(","))
sys.meta_path.insert(0, Absent())
from velum_cli.main import main
main()
"""
KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: none
clusters: [{name: none, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: none, user: {}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
"""


def distributions(requirements: list[str]) -> set[str]:
    return {re.split(r"[\[<>=!~; ]", each)[0].lower().replace("_", "-") for each in requirements}


def absent(extra: str) -> str:
    """The modules of all that other extras ask for, and neither this one nor the kernel does."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    here = distributions(project["dependencies"]) | distributions(extras[extra])
    others = distributions([each for name in ("operator", "ingress", "serve", "torch") for each in extras[name]])
    blocked = {
        module
        for module, owners in packages_distributions().items()
        if {owner.lower().replace("_", "-") for owner in owners} & (others - here)
    }
    assert len(blocked) > 5, "the packages of the other extras are not installed: nothing is tried here"
    return ",".join(sorted(blocked))


def velum(extra: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-W", "error::ImportWarning", "-c", WITHOUT, absent(extra), *map(str, arguments)]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("extra", ["operator", "ingress", "serve"])
def test_the_command_tells_what_it_can_do(extra: str) -> None:
    assert "ingress" in velum(extra, "--help").stdout


@pytest.mark.parametrize("command", ["operator", "ingress"])
def test_a_start_gets_as_far_as_the_api_server(command: str, tmp_path: Path) -> None:
    """Everything that the command imports is there; what it lacks is the API server, and it says so."""
    (tmp_path / "kubeconfig").write_text(KUBECONFIG)
    config = tmp_path / "velum.toml"
    config.write_text(f'[storage]\ninput = "file://{tmp_path}/in"\noutput = "file://{tmp_path}/out"\n')
    flags = ["--port", 0] if command == "ingress" else []
    ended = velum(command, command, "--kubeconfig", tmp_path / "kubeconfig", "--config", config, *flags)
    assert ended.returncode == 1
    assert "API server" in ended.stderr, ended.stderr
    assert "ModuleNotFoundError" not in ended.stderr


def test_packs_are_listed_where_the_replicas_are() -> None:
    listed = velum("serve", "models", "list")
    assert listed.returncode == 0, listed.stderr
    assert "velum-street" in listed.stdout


def test_pictures_are_hidden_where_the_replicas_are(tmp_path: Path) -> None:
    """The worker's image has its loops compiled by this command."""
    (tmp_path / "sample.jpg").write_bytes(sample_picture())
    done = velum("serve", "anonymize", tmp_path / "sample.jpg", "--output", tmp_path / "done")
    assert done.returncode == 0, done.stderr
    assert "3 face" in done.stdout


def test_a_command_whose_packages_are_not_here_says_which() -> None:
    ended = velum("operator", "models", "list")
    assert ended.returncode == 1
    assert "pip install 'velum[operator,ingress,serve]'" in ended.stderr
    assert "Traceback" not in ended.stderr
