"""Which programs a node is made of, and where they come from: `localplane.binaries` builds them with Go, one by one.

etcd, kube-apiserver and kubectl are those of `hack/controlplane`. The others are kept program by program: a build that
is stopped loses one, and a version bump builds what it bumps.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from localplane import binaries
from localplane.binaries import GOTOOLS, Say, Tool

_KUBERNETES, _CONTAINERD, _CNI = GOTOOLS / "kubernetes", GOTOOLS / "containerd", GOTOOLS / "cni"
_COMMANDS = "github.com/containerd/containerd/v2/cmd/"
_PLUGINS = "github.com/containernetworking/plugins/plugins/"


def node() -> list[Tool]:
    """Every program of the node but those of the control plane that `hack/controlplane` has too."""
    stamp = f"-s -w -X k8s.io/component-base/version.gitVersion={binaries.required(_KUBERNETES, 'k8s.io/kubernetes')}"
    kubernetes = ("kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy")
    containerd = ("containerd", "containerd-shim-runc-v2", "ctr")
    plugins = ("main/bridge", "main/loopback", "ipam/host-local", "meta/portmap")
    return [
        *(Tool(name, _KUBERNETES, f"k8s.io/kubernetes/cmd/{name}", stamp) for name in kubernetes),
        *(Tool(name, _CONTAINERD, _COMMANDS + name, tags="no_btrfs,no_devmapper,no_zfs") for name in containerd),
        *(Tool(plugin.rpartition("/")[2], _CNI, _PLUGINS + plugin) for plugin in plugins),
        Tool("kube-router", GOTOOLS / "kuberouter", "github.com/cloudnativelabs/kube-router/v2/cmd/kube-router"),
        Tool("coredns", GOTOOLS / "coredns", "velum.dev/hack/gotools/coredns"),
        Tool("pause", GOTOOLS / "pause", "velum.dev/hack/gotools/pause"),
    ]


def kuberay() -> Tool:
    """The KubeRay operator."""
    return Tool("kuberay-operator", GOTOOLS / "kuberay", "github.com/ray-project/kuberay/ray-operator")


def control_plane(environment: Mapping[str, str], say: Say) -> list[Path]:
    """The files of etcd, kube-apiserver and kubectl, built if need be. Raises AssetsInvalid or as `built`."""
    assets = binaries.find(environment, say)
    return [assets / name for name in binaries.NAMES]


def built(tools: Iterable[Tool], environment: Mapping[str, str], say: Say) -> list[Path]:
    """The files of `tools`, built if need be. Raises ToolsMissing or BuildFailed."""
    return [binaries.built(tool, environment, say) for tool in tools]


def link(programs: Iterable[Path], folder: Path) -> None:
    """Put links to `programs` into one `folder`, under their own names."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in programs:
        name = folder / program.name
        name.unlink(missing_ok=True)
        name.symlink_to(program)
