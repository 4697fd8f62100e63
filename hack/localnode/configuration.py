"""The files that the servers read: pure functions from a folder to text.

JSON is written where YAML is read (every JSON document is one), so that nothing beyond the standard library is needed.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from . import addresses
from .credentials import PROXY, Files

PAUSE_IMAGE = "localhost/velum/pause:1"
CGROUP = "velum-cluster"  # below it lie all pods' control groups; `down` removes it


@dataclass(frozen=True)
class Layout:
    """Where what lies in the cluster's folder."""

    folder: Path

    @property
    def credentials(self) -> Files:
        """Certificates, keys, tokens, kubeconfigs."""
        return Files(self.folder / "credentials")

    @property
    def logs(self) -> Path:
        """What the servers print."""
        return self.folder / "logs"

    @property
    def etc(self) -> Path:
        """The files of this module."""
        return self.folder / "etc"

    @property
    def containerd(self) -> Path:
        """Images, snapshots, state of containers."""
        return self.folder / "containerd"

    @property
    def containerd_socket(self) -> Path:
        """Where containerd listens."""
        return self.folder / "containerd.sock"

    @property
    def volumes(self) -> Path:
        """For hostPath volumes of what is tried in the cluster."""
        return self.folder / "volumes"


def write(layout: Layout, programs: Path) -> None:
    """Write every file of the servers; `programs` is the folder with the CNI plugins and the shim."""
    layout.etc.mkdir()
    plugins = layout.etc / "cni"
    plugins.mkdir()
    (layout.etc / "containerd.toml").write_text(containerd(layout, programs))
    for name, document in (("kubelet", kubelet(layout)), ("kube-proxy", kube_proxy(layout))):
        (layout.etc / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
    (plugins / "10-velum.conflist").write_text(json.dumps(network(), indent=1) + "\n")
    # Pods whose dnsPolicy is Default, CoreDNS among them, get this: the machine's own would leak its search domains.
    (layout.etc / "resolv.conf").write_text(f"nameserver {addresses.DNS_SERVICE}\n")


def containerd(layout: Layout, programs: Path) -> str:
    """containerd's configuration (TOML, version 3)."""
    text = json.dumps  # a JSON string is a TOML basic string
    return f"""\
version = 3
root = {text(str(layout.containerd / "root"))}
state = {text(str(layout.containerd / "state"))}
oom_score = 0
# They write to fixed places of the machine, and nothing here uses them.
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]

[grpc]
address = {text(str(layout.containerd_socket))}

[plugins."io.containerd.cri.v1.images"]
snapshotter = "overlayfs"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = {text(PAUSE_IMAGE)}

[plugins."io.containerd.cri.v1.runtime"]
# Without it runc dies in a container that may not lower its score ("can't get final child's PID from pipe").
restrict_oom_score_adj = true
tolerate_missing_hugetlb_controller = true
netns_mounts_under_state_dir = true
enable_selinux = false
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = [{text(str(programs))}]
conf_dir = {text(str(layout.etc / "cni"))}
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "runc"
Root = {text(str(layout.containerd / "runc"))}
SystemdCgroup = false
"""


def network() -> dict[str, object]:
    """The CNI network: a bridge that is the pods' gateway, addresses from a file, ports of the node."""
    return {
        "cniVersion": "1.0.0",
        "name": "velum",
        "plugins": [
            {
                "type": "bridge",
                "bridge": addresses.BRIDGE,
                "isGateway": True,
                "hairpinMode": True,  # a pod may reach itself through its own Service
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": str(addresses.PODS)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True},
        ],
    }


def kubelet(layout: Layout) -> dict[str, object]:
    """The KubeletConfiguration."""
    files = layout.credentials
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": addresses.NODE,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(files.authority)},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(files.certificate("kubelet")),
        "tlsPrivateKeyFile": str(files.key("kubelet")),
        "containerRuntimeEndpoint": f"unix://{layout.containerd_socket}",
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{CGROUP}",
        "failCgroupV1": False,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        # The file system is the machine's: quotas of it cannot be told apart, and what fills it is not only ours.
        "localStorageCapacityIsolation": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        # There is no registry to pull from again: an image that is thrown away is lost.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "enforceNodeAllocatable": ["pods"],
        "clusterDNS": [addresses.DNS_SERVICE],
        "clusterDomain": addresses.DOMAIN,
        "resolvConf": str(layout.etc / "resolv.conf"),
        "podLogsDir": "/var/log/pods",
        "staticPodPath": "",
        "readOnlyPort": 0,
        "enableServer": True,
        "serializeImagePulls": False,
        "nodeStatusUpdateFrequency": "5s",
        "shutdownGracePeriod": "0s",
        "logging": {"format": "text"},
    }


def kube_proxy(layout: Layout) -> dict[str, object]:
    """The KubeProxyConfiguration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(layout.credentials.kubeconfig(PROXY))},
        "hostnameOverride": addresses.NODE_NAME,
        "mode": "iptables",
        "clusterCIDR": str(addresses.PODS),
        "detectLocalMode": "ClusterCIDR",
        "healthzBindAddress": f"{addresses.NODE}:10256",
        "metricsBindAddress": f"{addresses.NODE}:10249",
        # The limits are the kernel's, not the network namespace's: they stay as the machine has them.
        "conntrack": {
            "maxPerCore": 0,
            "min": 0,
            "tcpCloseWaitTimeout": "0s",
            "tcpEstablishedTimeout": "0s",
        },
    }
