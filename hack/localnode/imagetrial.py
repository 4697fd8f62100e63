"""Whether an image does what it is for, as in a cluster: its own user, a root that is read only, home and /tmp empty.

buildah has no such run, so its container's files are mounted, and a shell in namespaces of its own does the rest.
"""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from localnode.builder import Builder
from localplane.errors import BuildFailed

CONFINED = """
root=$1; shift
mount --bind "$root" "$root"
mount -o remount,bind,ro "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=1777 tmpfs "$root/home/velum"
exec chroot --userspec=65532:65532 "$root" env -i -C /home/velum "$@"
"""

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

CUDA = """
import subprocess
from pathlib import Path
import onnxruntime, torch
libraries = (
    Path(onnxruntime.__file__).parent / "capi/libonnxruntime_providers_cuda.so",
    Path(torch.__file__).parent / "lib/libtorch_cuda.so",
)
lines = [line for each in libraries for line in subprocess.check_output(["ldd", each], text=True).splitlines()]
of_the_driver = {"libcuda.so.1", "libnvidia-ml.so.1"}
lacking = {line.split()[0] for line in lines if "not found" in line} - of_the_driver
assert not lacking, lacking
assert "CUDAExecutionProvider" in onnxruntime.get_available_providers()
print(f"CUDA {torch.version.cuda}, all libraries: onnxruntime {onnxruntime.__version__}, torch {torch.__version__}")
"""

CLOSED = """
for each in / /opt/velum /opt/velum/src; do if touch $each/tried 2>/dev/null; then exit 3; fi; done
if command -v gcc pip; then exit 4; fi
id -u
"""


@dataclass(frozen=True)
class Trial:
    """What is run in an image, and what its output must hold."""

    argv: tuple[str, ...]
    says: str


SHELL = ("bash", "-euc")
WORKER = (
    Trial(("python", "-c", REPLICA), "compiled loops ready"),
    Trial(
        (*SHELL, 'python -c "$1"; velum anonymize sample.jpg -o done', "-", PICTURE),
        "3 face, 1 license-plate, 3 person, 1 vehicle",
    ),
    # What KubeRay's probes and commands need, and the chart's init container.
    Trial((*SHELL, "command -v wget grep; ray --version"), "ray, version"),
    Trial(("velum", "models", "fetch", "--help"), "weights of packs"),
    Trial((*SHELL, CLOSED), "65532"),
)
TRIALS: dict[str, Sequence[Trial]] = {
    "operator": (
        Trial(("velum", "operator", "--help"), "Run the operator of a cluster"),
        Trial(("python", "-m", "velum_cli.release", "--help"), "velum_cli.release"),
        Trial((*SHELL, CLOSED), "65532"),
    ),
    "ingress": (
        Trial(("velum", "ingress", "--help"), "Run one ingress of a cluster"),
        Trial(("python", "-c", "import velum_ingress.app; print('whole')"), "whole"),
        Trial(("python", "-m", "velum_cli.selfcheck", "--help"), "velum_cli.selfcheck"),
        Trial((*SHELL, CLOSED), "65532"),
    ),
    "worker": WORKER,
    "worker-cuda": (*WORKER, Trial(("python", "-c", CUDA), "CUDA")),
}


def tried(builder: Builder, name: str, reference: str) -> list[str]:
    """Run an image's trials; the line that says of each that it went well. Raises BuildFailed when one does not."""
    with builder.container(reference) as container:
        root = builder.run("mount", container)
        environment = json.loads(builder.run("inspect", container))["OCIv1"]["config"]["Env"]
        try:
            return [_said(trial, reference, root, environment) for trial in TRIALS[name]]
        finally:
            builder.run("umount", container)


def _said(trial: Trial, reference: str, root: str, environment: Sequence[str]) -> str:
    confined = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", CONFINED, "trial", root]
    ended = subprocess.run([*confined, *environment, *trial.argv], capture_output=True, text=True, check=False)
    output = ended.stdout + ended.stderr
    line = next((each.strip() for each in output.splitlines() if trial.says in each), None)
    if ended.returncode or line is None:
        told = f"ended with status {ended.returncode} and said {output!r} instead of {trial.says!r}"
        raise BuildFailed(f"{reference}: {trial.argv} {told}")
    return line
