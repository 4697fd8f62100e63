"""Where etcd, kube-apiserver and kubectl come from, and the tools that are built one by one.

In this order: the folder that KUBEBUILDER_ASSETS names (the convention of envtest); the cache; a build with Go from the
modules in `hack/gotools`, whose go.sum pins every byte. The cache folder is named by a hash of the go.mod and go.sum
files and of the build's flags, so a version bump builds anew and old binaries stay for old checkouts. A build happens
in a temporary folder that is renamed when complete: the cache holds either every program or none.

`tool` gives one program of TOOLS, such as helm, in the same way but with a folder of its own: who changes its version
does not build the API server anew. `built` does so for any program (`localnode.parts` has a node's).
"""

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import AssetsInvalid, BuildFailed, ToolsMissing
from .locks import locked

GOTOOLS = Path(__file__).resolve().parent.parent / "gotools"
NAMES = ("etcd", "kube-apiserver", "kubectl")
TOOLS = ("helm", "kubeconform")

Say = Callable[[str], None]

_HEARTBEAT_S = 30  # kube-apiserver compiles for minutes: say that it still does
_TAIL_LINES = 25  # of the compiler's output in an error
# No C compiler needed, so that Go alone suffices; no enclosing workspace may change what is built.
_BUILD_ENVIRONMENT = {"CGO_ENABLED": "0", "GOWORK": "off"}


@dataclass(frozen=True)
class Tool:
    """A program: its name, the folder with its go.mod, its package, and the build's flags."""

    name: str
    module: Path
    package: str
    ldflags: str = "-s -w"  # no symbol tables: a third of the size
    tags: str = ""


_HELM = GOTOOLS / "helm"
_KUBECONFORM = GOTOOLS / "kubeconform"


def find(environment: Mapping[str, str], say: Say) -> Path:
    """Give the folder that holds every program of NAMES, building them if need be.

    Raises AssetsInvalid, ToolsMissing or BuildFailed.
    """
    assets = environment.get("KUBEBUILDER_ASSETS")
    if assets:
        return _checked(Path(assets).absolute())
    tools = _tools()
    cache = cache_root(environment) / "controlplane"
    folder = cache / _key(tools)
    if _lacking(folder):
        with locked(cache, lambda: say("another build of the control plane is running: waiting for it")):
            if _lacking(folder):
                say("building the control plane with Go: once, about five minutes on two cores, 3 GB in Go's caches")
                _build(cache, folder, tools, environment, say)
    return folder


def tool(name: str, environment: Mapping[str, str], say: Say) -> Path:
    """Give the program `name` of TOOLS: out of KUBEBUILDER_ASSETS if it is there, else the cache, else built.

    Raises ToolsMissing or BuildFailed.
    """
    given = Path(environment.get("KUBEBUILDER_ASSETS") or os.devnull) / name
    if os.access(given, os.X_OK) and given.is_file():
        return given.absolute()
    return built(_single(name), environment, say)


def built(wanted: Tool, environment: Mapping[str, str], say: Say) -> Path:
    """Give the program `wanted`, from the cache or built into it. Raises ToolsMissing or BuildFailed."""
    name = wanted.name
    folder = _place(wanted, environment)
    cache = folder.parent
    if _lacking(folder, [name]):
        with locked(cache, lambda: say(f"another build of {name} is running: waiting for it")):
            if _lacking(folder, [name]):
                _build(cache, folder, [wanted], environment, say)
    return folder / name


def is_built(wanted: Tool, environment: Mapping[str, str]) -> bool:
    """Whether the cache holds the program, so that nothing would have to be built."""
    return not _lacking(_place(wanted, environment), [wanted.name])


def _place(wanted: Tool, environment: Mapping[str, str]) -> Path:
    return cache_root(environment) / "tools" / wanted.name / _key([wanted])


def cache_root(environment: Mapping[str, str]) -> Path:
    """The folder for what can be built or fetched again: VELUM_CACHE, else ~/.cache/velum."""
    return Path(environment.get("VELUM_CACHE") or Path.home() / ".cache" / "velum").absolute()


def _lacking(folder: Path, names: Iterable[str] = NAMES) -> list[str]:
    return [name for name in names if not os.access(folder / name, os.X_OK) or (folder / name).is_dir()]


def _checked(folder: Path) -> Path:
    if lacking := _lacking(folder):
        raise AssetsInvalid(
            f"KUBEBUILDER_ASSETS={folder} lacks {', '.join(lacking)} (or may not execute it). "
            "Point it at a folder with all of them, or unset it to build them with Go."
        )
    return folder


def _tools() -> list[Tool]:
    kubernetes, etcd = GOTOOLS / "kubernetes", GOTOOLS / "etcd"
    version = required(kubernetes, "k8s.io/kubernetes")
    # Without it the servers call themselves v0.0.0-master, and kubectl warns about the skew.
    stamp = f"-s -w -X k8s.io/component-base/version.gitVersion={version}"
    return [
        Tool("etcd", etcd, "go.etcd.io/etcd/server/v3"),
        Tool("kube-apiserver", kubernetes, "k8s.io/kubernetes/cmd/kube-apiserver", stamp),
        Tool("kubectl", kubernetes, "k8s.io/kubernetes/cmd/kubectl", stamp),
    ]


def _single(name: str) -> Tool:
    match name:
        case "helm":
            version = required(_HELM, "helm.sh/helm/v4")
            stamp = f"-s -w -X helm.sh/helm/v4/internal/version.version={version}"
            return Tool(name, _HELM, "helm.sh/helm/v4/cmd/helm", stamp)
        case "kubeconform":
            stamp = f"-s -w -X main.version={required(_KUBECONFORM, 'github.com/yannh/kubeconform')}"
            return Tool(name, _KUBECONFORM, "github.com/yannh/kubeconform/cmd/kubeconform", stamp)
    raise BuildFailed(f"there is no tool {name!r}; there are {', '.join(TOOLS)}")


def required(module: Path, path: str) -> str:
    """The version of the module `path` that the go.mod in `module` pins, such as v1.36.3. Raises BuildFailed."""
    version = re.search(rf"{re.escape(path)} (v\S+)", (module / "go.mod").read_text())
    if version is None:
        raise BuildFailed(f"{module / 'go.mod'} does not require {path}")
    return version[1]


def _key(tools: Iterable[Tool]) -> str:
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()} {sorted(_BUILD_ENVIRONMENT.items())}".encode())
    for tool in tools:
        digest.update(f"\0{tool.name} {tool.package} {tool.ldflags}\0".encode())
        digest.update(tool.tags.encode())
        sources = (tool.module / "go.mod", tool.module / "go.sum", *sorted(tool.module.glob("*.go")))
        for file in filter(Path.is_file, sources):  # a module that needs no other has no go.sum
            digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _build(cache: Path, folder: Path, tools: Sequence[Tool], environment: Mapping[str, str], say: Say) -> None:
    env = {**environment, **_BUILD_ENVIRONMENT}
    go = _go(tools, env)
    for abandoned in cache.glob("build-*"):  # of a build that was killed; the lock says that none runs now
        shutil.rmtree(abandoned, ignore_errors=True)
    scratch = Path(tempfile.mkdtemp(prefix="build-", dir=cache))
    try:
        for number, tool in enumerate(tools, start=1):
            say(f"[{number}/{len(tools)}] {tool.name}")
            seconds = _compile(go, tool, scratch, env, say)
            say(f"[{number}/{len(tools)}] {tool.name} built in {seconds:.0f} s")
        shutil.rmtree(folder, ignore_errors=True)  # a folder that lacks programs was tampered with
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _compile(go: str, tool: Tool, target: Path, env: Mapping[str, str], say: Say) -> float:
    log = target / "build.log"
    tags = ["-tags", tool.tags] if tool.tags else []
    argv = [go, "build", "-ldflags", tool.ldflags, *tags, "-o", str(target / tool.name), tool.package]
    begun = time.monotonic()
    with log.open("wb") as output:
        compiler = subprocess.Popen(argv, cwd=tool.module, env=env, stdout=output, stderr=output)
        try:
            while True:
                try:
                    status = compiler.wait(timeout=_HEARTBEAT_S)
                    break
                except subprocess.TimeoutExpired:
                    say(f"      still building {tool.name}, {time.monotonic() - begun:.0f} s so far")
        finally:
            compiler.kill()  # a no-op once it has ended; else (Ctrl-C) nothing goes on compiling
            compiler.wait()
    if status:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL_LINES:])
        raise BuildFailed(f"go build of {tool.name} ended with status {status}:\n{tail}")
    return time.monotonic() - begun


def _go(tools: Sequence[Tool], env: Mapping[str, str]) -> str:
    """The go command, once it is known to be new enough (it may fetch a newer toolchain of itself)."""
    wanted = max(_go_directive(tool.module) for tool in tools)
    advice = (
        f"Install Go {'.'.join(map(str, wanted))} or later (https://go.dev/dl/), "
        f"or set KUBEBUILDER_ASSETS to a folder with {', '.join(tool.name for tool in tools)}."
    )
    go = shutil.which("go", path=env.get("PATH"))
    if go is None:
        raise ToolsMissing(f"{tools[0].name} is built from source, and there is no `go` on the PATH. {advice}")
    # In a module's folder, where Go says (or fetches) the version that it would build with.
    answer = subprocess.run([go, "version"], cwd=tools[-1].module, env=env, capture_output=True, text=True, check=False)
    found = re.search(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    if answer.returncode or found is None or tuple(int(part or 0) for part in found.groups()) < wanted:
        said = (answer.stdout + answer.stderr).strip() or f"`go version` ended with status {answer.returncode}"
        raise ToolsMissing(f"The `go` at {go} is too old or does not work: {said}. {advice}")
    return go


def _go_directive(module: Path) -> tuple[int, ...]:
    found = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", (module / "go.mod").read_text(), re.MULTILINE)
    if found is None:
        raise BuildFailed(f"{module / 'go.mod'} has no go directive")
    return tuple(int(part or 0) for part in found.groups())
