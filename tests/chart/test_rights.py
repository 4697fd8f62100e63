"""Who may do what, and who may talk to whom."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from support import helmchart
from support.helmchart import Helm, Json, named, of_kind
from velum_operator import lease

CI = helmchart.CHART / "ci"

OPERATOR = {
    ("velum.dev", "anonymizationtasks"): {"get", "list", "watch", "patch", "delete"},
    ("velum.dev", "anonymizationtasks/status"): {"patch"},
    ("velum.dev", "anonymizationmodels"): {"get", "list", "watch", "create", "patch", "delete"},
    ("velum.dev", "anonymizationmodels/status"): {"patch"},
    ("", "secrets"): {"get", "delete"},
    ("", "configmaps"): {"get"},
    ("coordination.k8s.io", "leases"): {"get", "list", "watch", "create", "update"},
    ("events.k8s.io", "events"): {"create"},
}
RAY = {("ray.io", "rayservices"): {"get", "create", "patch"}, ("ray.io", "rayclusters"): {"get", "patch"}}
INGRESS = {
    ("velum.dev", "anonymizationtasks"): {"get", "list", "watch", "create", "patch", "delete"},
    ("velum.dev", "anonymizationmodels"): {"get", "list", "watch"},
    ("", "secrets"): {"get", "create", "delete"},
}


def rights(role: Json) -> dict[tuple[str, str], set[str]]:
    found: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                found.setdefault((group, resource), set()).update(rule["verbs"])
    return found


class TestRoles:
    """That these suffice is tried on a real API server: tests/cluster/test_chart.py."""

    def test_with_kuberay(self, helm: Helm) -> None:
        rendered = helm.objects("--values", CI / "minimal-values.yaml")
        assert rights(named(rendered, "Role", "velum-operator")) == OPERATOR | RAY
        assert rights(named(rendered, "Role", "velum-ingress")) == INGRESS
        limited = [rule for rule in named(rendered, "Role", "velum-operator")["rules"] if "resourceNames" in rule]
        assert {rule["resources"][0]: rule["resourceNames"] for rule in limited} == {
            "leases": [lease.NAME],
            "configmaps": ["velum-models", "velum-ray"],
            "rayservices": ["velum"],
        }

    def test_without_kuberay_there_is_nothing_about_ray(self, helm: Helm) -> None:
        rendered = helm.objects("--values", CI / "external-ray-values.yaml")
        assert rights(named(rendered, "Role", "velum-operator")) == OPERATOR

    def test_nothing_is_granted_by_a_star(self, rendered: list[Json]) -> None:
        roles = [*of_kind(rendered, "Role"), *of_kind(rendered, "ClusterRole")]
        assert roles
        assert "*" not in {
            word for role in roles for rule in role["rules"] for words in rule.values() for word in words
        }

    def test_the_parts_have_rights_in_their_namespace_only(self, rendered: list[Json]) -> None:
        assert not of_kind(rendered, "ClusterRoleBinding")
        for binding in of_kind(rendered, "RoleBinding"):
            assert {each["namespace"] for each in binding["subjects"]} == {helmchart.NAMESPACE}

    def test_workers_have_none(self, rendered: list[Json]) -> None:
        bound = {each["name"] for binding in of_kind(rendered, "RoleBinding") for each in binding["subjects"]}
        assert not [name for name in bound if name.endswith("worker") or name == "ray"]

    def test_people_get_theirs_by_the_clusters_roles(self, helm: Helm) -> None:
        roles = of_kind(helm.objects("--values", CI / "minimal-values.yaml"), "ClusterRole")
        by = {
            label.rpartition("-")[2]: rights(role)
            for role in roles
            for label in role["metadata"]["labels"]
            if label.startswith("rbac.authorization.k8s.io/aggregate-to-")
        }
        assert set(by["view"]) == {("velum.dev", "anonymizationtasks"), ("velum.dev", "anonymizationmodels")}
        assert all(verbs == {"get", "list", "watch"} for verbs in by["view"].values())
        assert by["edit"] == by["admin"]
        assert all("status" not in resource for _group, resource in by["edit"])
        assert not of_kind(helm.objects("--set=rbac.aggregate=false"), "ClusterRole")


class Network:
    """What NetworkPolicies let through: a small reading of them, for pods of the release."""

    def __init__(self, rendered: list[Json]) -> None:
        self.policies = [each["spec"] for each in of_kind(rendered, "NetworkPolicy")]
        self.pods = {
            "operator": _labels("operator", "velum"),
            "ingress": _labels("ingress", "velum"),
            "test": _labels("test", "velum"),
            "uninstall": _labels("uninstall", "velum"),
            "head": {**_labels("head", "kuberay"), "velum.dev/ray": "velum", "ray.io/node-type": "head"},
            "worker": {**_labels("worker", "kuberay"), "velum.dev/ray": "velum", "ray.io/node-type": "worker"},
        }
        self.ports = {("ingress", "http"): 7000, ("ingress", "metrics"): 9090, ("operator", "metrics"): 9090}

    def leaves(self, source: str, target: str, port: int) -> bool:
        return self._any(source, "Egress", "egress", "to", target, port, source)

    def enters(self, source: str, target: str, port: int) -> bool:
        return self._any(target, "Ingress", "ingress", "from", source, port, target)

    def passes(self, source: str, target: str, port: int) -> bool:
        return self.leaves(source, target, port) and self.enters(source, target, port)

    def closed(self, pod: str) -> set[str]:
        return {kind for each in self._of(pod) for kind in each["policyTypes"]}

    def blocks_reach(self, pod: str, address: str) -> bool:
        """Whether a rule with addresses lets the pod out to this one."""
        ip = ip_address(address)
        blocks = [
            peer["ipBlock"]
            for each in self._of(pod)
            for rule in each.get("egress", [])
            for peer in rule.get("to", [])
            if "ipBlock" in peer
        ]
        return any(
            ip in ip_network(each["cidr"]) and not any(ip in ip_network(out) for out in each.get("except", []))
            for each in blocks
        )

    def _of(self, pod: str) -> list[Json]:
        return [each for each in self.policies if each["podSelector"]["matchLabels"].items() <= self.pods[pod].items()]

    def _any(self, pod: str, kind: str, rules: str, key: str, peer: str, port: int, named: str) -> bool:
        found = [rule for each in self._of(pod) if kind in each["policyTypes"] for rule in each.get(rules, [])]
        return any(self._peer(rule.get(key), peer) and self._port(rule.get("ports"), port, named) for rule in found)

    def _peer(self, peers: Any, pod: str) -> bool:
        if peers is None:
            return True
        if pod == "outside":
            return any("ipBlock" in each for each in peers)
        labels = self.pods.get(pod, {"pod": pod})
        return any(each.get("podSelector", {}).get("matchLabels", {"": ""}).items() <= labels.items() for each in peers)

    def _port(self, ports: Any, port: int, pod: str) -> bool:
        return ports is None or port in {self.ports.get((pod, each["port"]), each["port"]) for each in ports}


def _labels(component: str, name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/instance": "velum",
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/part-of": "velum",
    }


@pytest.fixture(scope="module")
def network(helm: Helm) -> Network:
    return Network(helm.objects("--values", CI / "minimal-values.yaml"))


class TestNetwork:
    def test_the_labels_here_are_those_of_the_pods(self, helm: Helm, network: Network) -> None:
        for _, pod in helmchart.pods(helm.objects("--values", CI / "minimal-values.yaml")):
            labels = pod["metadata"]["labels"]
            of = network.pods[labels["app.kubernetes.io/component"]]
            assert {key: labels[key] for key in labels if key in of}.items() <= of.items()

    def test_every_pod_is_closed_both_ways(self, network: Network) -> None:
        assert [pod for pod in network.pods if network.closed(pod) != {"Ingress", "Egress"}] == []

    @pytest.mark.parametrize(
        ("source", "target", "port"),
        [
            ("operator", "head", 8265),
            ("operator", "head", 8000),
            ("operator", "worker", 8000),
            ("worker", "head", 6379),
            ("head", "worker", 10002),
            ("worker", "worker", 34567),
            ("test", "ingress", 7000),
        ],
    )
    def test_what_has_to_talk_may(self, network: Network, source: str, target: str, port: int) -> None:
        assert network.passes(source, target, port)

    @pytest.mark.parametrize(
        ("source", "target", "port"),
        [
            ("ingress", "head", 8000),
            ("ingress", "worker", 8000),
            ("ingress", "head", 8265),
            ("test", "head", 8000),
            ("uninstall", "head", 8000),
            ("stranger", "worker", 8000),
            ("stranger", "head", 8265),
            ("stranger", "head", 6379),
            ("operator", "head", 6379),
            ("worker", "ingress", 6000),
            ("ingress", "operator", 7000),
        ],
    )
    def test_what_has_not_may_not(self, network: Network, source: str, target: str, port: int) -> None:
        if source in network.pods:
            assert not network.passes(source, target, port)
        else:
            assert not network.enters(source, target, port)

    def test_everybody_may_upload_and_read_metrics_unless_it_says_who(self, helm: Helm, network: Network) -> None:
        assert network.enters("stranger", "ingress", 7000)
        assert all(network.enters("stranger", pod, 9090) for pod in ("operator", "ingress"))
        tight = Network(helm.objects("--values", CI / "everything-values.yaml", "--set=fullnameOverride=velum"))
        assert not tight.enters("stranger", "ingress", 7000)
        assert not any(tight.enters("stranger", pod, 9090) for pod in ("operator", "ingress"))
        assert tight.enters("test", "ingress", 7000)

    def test_who_reads_metrics_does_not_reach_the_api_for_that(self, helm: Helm) -> None:
        peers = {"metricsFrom": "prometheus", "ingressFrom": "gateway"}
        flags = [
            f'--set-json=networkPolicy.{key}=[{{"podSelector": {{"matchLabels": {{"pod": "{pod}"}}}}}}]'
            for key, pod in peers.items()
        ]
        network = Network(helm.objects("--values", CI / "minimal-values.yaml", *flags))
        assert network.enters("prometheus", "ingress", 9090)
        assert not network.enters("prometheus", "ingress", 7000)
        assert network.enters("gateway", "ingress", 7000)
        assert not network.enters("gateway", "ingress", 9090)

    @pytest.mark.parametrize("pod", ["operator", "ingress", "uninstall", "head"])
    def test_who_uses_the_api_server_reaches_it(self, network: Network, pod: str) -> None:
        assert network.leaves(pod, "outside", 6443)

    def test_webhooks_and_url_sources_go_out_to_public_addresses(self, helm: Helm, network: Network) -> None:
        assert network.leaves("operator", "outside", 80)
        assert network.leaves("worker", "outside", 443)
        assert not network.leaves("operator", "outside", 22)
        blocks = [
            peer["ipBlock"]
            for each in network.policies
            for rule in each.get("egress", [])
            for peer in rule.get("to", [])
            if "ipBlock" in peer
        ]
        assert blocks
        assert all("169.254.0.0/16" in each["except"] for each in blocks if each["cidr"] == "0.0.0.0/0")
        private = Network(
            helm.objects("--values", CI / "minimal-values.yaml", "--set=settings.webhook.allow_private=true")
        )
        assert private.leaves("operator", "outside", 9999)
        assert not private.leaves("worker", "outside", 9999)

    @pytest.mark.parametrize(
        "flags", [[], ["--set=settings.webhook.allow_private=true,settings.source.allow_private=true"]]
    )
    def test_clients_never_reach_where_clouds_hand_out_credentials(self, helm: Helm, flags: list[str]) -> None:
        network = Network(helm.objects("--values", CI / "minimal-values.yaml", *flags))
        for address in (
            "169.254.169.254",
            "fd00:ec2::254",
            "fd20:ce::254",
            "fd00:c1::a9fe:a9fe",
            "fe80::1",
            "64:ff9b::169.254.169.254",
        ):
            assert not network.blocks_reach("operator", address)
            assert not network.blocks_reach("worker", address)
        assert network.blocks_reach("worker", "93.184.216.34")
        assert network.blocks_reach("worker", "2606:2800:21f:cb07:6820:80da:af6b:8b2c")
        assert network.blocks_reach("worker", "64:ff9b::93.184.216.34")
        private = ("10.1.2.3", "100.64.1.1", "127.0.0.1", "172.31.0.9", "192.168.3.4")
        for address in (*private, "fd12::9", *(f"64:ff9b::{each}" for each in private)):
            assert network.blocks_reach("worker", address) is bool(flags), address

    def test_dns_may_listen_elsewhere(self, helm: Helm, network: Network) -> None:
        assert network.leaves("worker", "outside", 53)
        assert not network.leaves("worker", "outside", 5353)
        elsewhere = Network(
            helm.objects("--values", CI / "minimal-values.yaml", "--set=networkPolicy.dnsPorts={53,5353}")
        )
        assert all(elsewhere.leaves(pod, "outside", 5353) for pod in elsewhere.pods)

    def test_others_reach_ray_where_the_values_say_so(self, helm: Helm) -> None:
        admin = '[{"podSelector": {"matchLabels": {"pod": "stranger"}}}]'
        network = Network(
            helm.objects("--values", CI / "minimal-values.yaml", f"--set-json=networkPolicy.rayFrom={admin}")
        )
        assert network.enters("stranger", "head", 8265)
        assert not network.enters("stranger", "head", 6379)
        assert network.passes("operator", "head", 8265)

    def test_storage_on_a_port_of_its_own_is_reached(self, helm: Helm) -> None:
        network = Network(helm.objects("--values", CI / "s3-values.yaml"))
        assert all(network.leaves(pod, "outside", 9000) for pod in ("operator", "ingress", "worker", "head"))
        assert not network.leaves("test", "outside", 9000)

    def test_a_mirror_of_packs_inside_is_reached(self, helm: Helm) -> None:
        flags = ["--set=modelPacks.fetch={yunet}", "--set=modelPacks.mirror=http://mirror.internal:8081/packs"]
        network = Network(helm.objects("--values", CI / "minimal-values.yaml", *flags))
        assert all(network.leaves(pod, "outside", 8081) for pod in ("head", "worker"))
        assert not network.leaves("operator", "outside", 8081)
        without = Network(helm.objects("--values", CI / "minimal-values.yaml", flags[1]))
        assert not without.leaves("worker", "outside", 8081)

    def test_addresses_of_ipv6_have_ports_too(self, helm: Helm) -> None:
        ray = {"dashboard": "https://[fd00::4:8265]/", "url": "http://[fd00::4]:8001/serve"}
        flags = [f"--set=ray.external.{key}={value}" for key, value in ray.items()]
        network = Network(helm.objects("--values", CI / "external-ray-values.yaml", *flags))
        assert network.leaves("operator", "outside", 443)
        assert network.leaves("operator", "outside", 8001)
        assert not network.leaves("operator", "outside", 4)

    def test_the_api_is_reached_by_ipv6_where_asked(self, helm: Helm) -> None:
        policy = "--set=ingress.service.ipFamilyPolicy=PreferDualStack"
        values = ["--values", CI / "minimal-values.yaml"]
        rendered = helm.objects(*values, policy, "--set=ingress.service.ipFamilies={IPv6,IPv4}")
        service = helmchart.named(rendered, "Service", "velum-ingress")["spec"]
        assert (service["ipFamilyPolicy"], service["ipFamilies"]) == ("PreferDualStack", ["IPv6", "IPv4"])
        plain = helmchart.named(helm.objects(*values), "Service", "velum-ingress")["spec"]
        assert not {"ipFamilyPolicy", "ipFamilies"} & set(plain)

    def test_ray_that_is_elsewhere_is_reached(self, helm: Helm) -> None:
        network = Network(helm.objects("--values", CI / "external-ray-values.yaml"))
        assert network.leaves("operator", "outside", 8265)
        assert network.leaves("operator", "outside", 8000)
        assert not network.leaves("ingress", "outside", 8000)
