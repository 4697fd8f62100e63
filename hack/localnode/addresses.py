"""The cluster's addresses: one /16 that the machine reaches over one wire.

They are fixed, so a machine holds one such cluster at a time. Pods have no way out of it: nothing here forwards their
packets into the machine's network, so what runs in the cluster runs as in an air-gapped one.
"""

from ipaddress import IPv4Network, ip_network

CLUSTER = ip_network("10.87.0.0/16")
SERVICES = ip_network("10.87.0.0/24")
PODS = ip_network("10.87.1.0/24")
WIRE = ip_network("10.87.255.0/30")

API_SERVICE = str(SERVICES[1])  # kube-apiserver takes the range's first address for the Service `kubernetes`
DNS_SERVICE = str(SERVICES[10])
MACHINE = str(WIRE[1])
NODE = str(WIRE[2])
API_PORT = 6443
DOMAIN = "cluster.local"
NODE_NAME = "velum-node"

MACHINE_LINK, NODE_LINK, BRIDGE = "velum-host", "velum-node", "velum-pods"  # 15 letters at most (IFNAMSIZ)


def taken_by(routes: str) -> str:
    """The line of `ip -4 route` that already leads into our range by another wire; empty if none does."""
    for line in routes.splitlines():
        target = line.split(" ", 1)[0]
        if not target[:1].isdigit() or f"dev {MACHINE_LINK} " in f"{line} ":
            continue
        if IPv4Network(target, strict=False).overlaps(CLUSTER):
            return line
    return ""
