"""Whether an image does what it is for: as its own user, with nothing to write into but its home and /tmp.

The root of a container of buildah can be written; the user of ours can write nowhere else in it, which is as good.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from localnode.builder import Builder
from localplane.errors import BuildFailed

USER = "65532:65532"

PICTURE = """
from pathlib import Path
from velum_cli.sample import sample_picture
Path("sample.jpg").write_bytes(sample_picture())
"""

REPLICA = """
import time
import ray, velum_serve.app
from velum_pipeline.pipeline import warm_up
begun = time.monotonic()
warm_up()
print(f"ray {ray.__version__}; compiled loops ready in {time.monotonic() - begun:.2f} s")
"""

NOWHERE = (
    "for each in / /opt/velum /opt/velum/src /opt/velum/venv/lib; do ! touch $each/tried 2>/dev/null || exit 1; done"
)


@dataclass(frozen=True)
class Trial:
    """What is run in an image, and what its output must hold."""

    argv: tuple[str, ...]
    says: str


SHELL = ("bash", "-euc")
TRIALS: dict[str, Sequence[Trial]] = {
    "operator": (
        Trial(("velum", "operator", "--help"), "Run the operator of a cluster"),
        Trial((*SHELL, f"{NOWHERE}; ! command -v gcc pip; id -u"), "65532"),
    ),
    "ingress": (
        Trial(("velum", "ingress", "--help"), "Run one ingress of a cluster"),
        Trial(("python", "-c", "import velum_ingress.app; print('whole')"), "whole"),
        Trial((*SHELL, f"{NOWHERE}; ! command -v gcc pip; id -u"), "65532"),
    ),
    "worker": (
        Trial(("python", "-c", REPLICA), "compiled loops ready"),
        Trial(
            (*SHELL, 'cd; python -c "$1"; velum anonymize sample.jpg -o done', "-", PICTURE),
            "3 face, 1 license-plate, 3 person, 1 vehicle",
        ),
        # What KubeRay's probes and commands need.
        Trial((*SHELL, "ray --version; command -v wget bash grep"), "ray, version"),
        Trial((*SHELL, f"{NOWHERE}; ! command -v gcc pip; id -u"), "65532"),
    ),
}


def tried(builder: Builder, name: str, reference: str) -> list[str]:
    """Run an image's trials; the line that says of each that it went well. Raises BuildFailed when one does not."""
    said = []
    with builder.container(reference) as container:
        for trial in TRIALS[name]:
            output = builder.run("run", "--isolation=chroot", f"--user={USER}", container, "--", *trial.argv)
            line = next((each.strip() for each in output.splitlines() if trial.says in each), None)
            if line is None:
                raise BuildFailed(f"{reference}: {trial.argv} said {output!r} instead of {trial.says!r}")
            said.append(line)
    return said
