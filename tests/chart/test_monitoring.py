"""Alerts and the dashboard speak of metrics that exist, and every alert has a page that tells what to do."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from support import helmchart
from support.helmchart import Helm, Json, named, of_kind
from velum.api.reasons import Reason
from velum_ingress.metrics import Metrics
from velum_operator.metrics import CONDITIONS, ControllerMetrics

EVERYTHING = helmchart.CHART / "ci" / "everything-values.yaml"
PAGES = helmchart.ROOT / "docs" / "alerts"

FOREIGN = {"up", "ray_serve_deployment_replica_healthy"}
"""Series of Prometheus itself and of Ray (its metric `serve_deployment_replica_healthy`, exported with `ray_`)."""


@pytest.fixture(scope="module")
def series() -> set[str]:
    """Names of all series that operator and ingress export."""
    registry, ingress = CollectorRegistry(), Metrics()
    ControllerMetrics(registry)
    found = set()
    for each in (registry, ingress.registry):
        for family in each.collect():
            names = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}.get(family.type, [""])
            found |= {family.name + suffix for suffix in names}
    return found


@pytest.fixture(scope="module")
def everything(helm: Helm) -> list[Json]:
    return helm.objects("--values", EVERYTHING, "--set-json=monitoring.prometheusRule.disabled=[]")


@pytest.fixture(scope="module")
def alerts(everything: list[Json]) -> list[Json]:
    found: list[Json] = named(everything, "PrometheusRule", "anonymizer")["spec"]["groups"][0]["rules"]
    return found


def used(expression: str) -> set[str]:
    """Names of series in an expression: words that are followed by a selector, or stand alone."""
    bare = re.sub(r'"[^"]*"', "", expression)
    return set(re.findall(r"\b([a-z_]+)(?=\{)", bare))


class TestAlerts:
    def test_their_metrics_exist(self, alerts: list[Json], series: set[str]) -> None:
        assert len(alerts) >= 9
        for each in alerts:
            names = used(each["expr"])
            assert names, each["alert"]
            assert names <= series | FOREIGN, each["alert"]

    def test_their_labels_exist(self, alerts: list[Json]) -> None:
        text = "\n".join(each["expr"] for each in alerts)
        assert set(re.findall(r'condition="(\w+)"', text)) <= set(CONDITIONS)
        results = set(re.findall(r'result=~?"([\w|]+)"', text))
        assert {word for each in results for word in each.split("|")} <= {"failed", "error", "unavailable"}

    def test_each_has_a_page(self, alerts: list[Json]) -> None:
        names = {each["alert"] for each in alerts}
        assert {file.stem for file in PAGES.glob("*.md")} == names
        for each in alerts:
            assert each["annotations"]["runbook_url"].endswith(f"/docs/alerts/{each['alert']}.md")
            assert each["annotations"]["summary"]
            assert each["labels"]["severity"] in {"critical", "warning"}

    @pytest.mark.parametrize("page", sorted(PAGES.glob("*.md")), ids=lambda file: file.stem)
    def test_pages_tell_what_it_means_where_to_look_and_what_to_do(self, page: Path) -> None:
        text = page.read_text()
        assert text.startswith(f"# {page.stem}\n")
        assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Look", "## Do"]
        for link in re.findall(r"\]\((\w+\.md)\)", text):
            assert (PAGES / link).exists()
        spoken = set(re.findall(r"`([A-Z][a-z]+(?:[A-Z][a-z]+)+)`", text))
        assert spoken <= {str(reason) for reason in Reason}

    def test_the_limit_of_the_queue_is_the_settings(self, helm: Helm) -> None:
        rendered = helm.objects("--values", EVERYTHING, "--set=settings.limit.queue=200")
        rules = named(rendered, "PrometheusRule", "anonymizer")["spec"]["groups"][0]["rules"]
        full = next(each for each in rules if each["alert"] == "VelumQueueFull")
        assert full["expr"].endswith("> 180")

    def test_one_can_be_left_out(self, helm: Helm) -> None:
        rendered = helm.objects("--values", EVERYTHING)
        rules = named(rendered, "PrometheusRule", "anonymizer")["spec"]["groups"][0]["rules"]
        assert "VelumWebhooksFail" not in {each["alert"] for each in rules}


@pytest.fixture(scope="module")
def board(everything: list[Json]) -> Json:
    found = named(everything, "ConfigMap", "anonymizer-dashboard")
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    board: Json = json.loads(found["data"]["velum.json"])
    return board


class TestDashboard:
    def test_its_metrics_exist(self, board: Json, series: set[str]) -> None:
        for panel in board["panels"]:
            for target in panel["targets"]:
                names = used(target["expr"])
                assert names, panel["title"]
                assert names <= series | FOREIGN, panel["title"]

    def test_every_metric_of_ours_is_seen_or_counted_on(
        self, board: Json, alerts: list[Json], series: set[str]
    ) -> None:
        texts = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
        told = set().union(*(used(each) for each in [*texts, *(each["expr"] for each in alerts)]))
        families = {re.sub(r"_(bucket|sum|count)$", "", name) for name in series}
        assert {re.sub(r"_bucket$", "", name) for name in told} >= families

    def test_panels_do_not_lie_on_each_other(self, board: Json) -> None:
        places = [tuple(panel["gridPos"][key] for key in "xywh") for panel in board["panels"]]
        cells = [(x + i, y + j) for x, y, w, h in places for i in range(w) for j in range(h)]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24
        assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])


class TestMonitors:
    def test_they_find_services_and_ports(self, everything: list[Json]) -> None:
        monitors = of_kind(everything, "ServiceMonitor")
        assert len(monitors) == 2
        for monitor in monitors:
            wanted = monitor["spec"]["selector"]["matchLabels"]
            found = [
                each for each in of_kind(everything, "Service") if wanted.items() <= each["metadata"]["labels"].items()
            ]
            assert len(found) == 1
            assert monitor["spec"]["endpoints"][0]["port"] in {port["name"] for port in found[0]["spec"]["ports"]}

    def test_what_leads_to_the_api_leads_to_no_metrics(self, everything: list[Json]) -> None:
        pod = named(everything, "Deployment", "anonymizer-ingress")["spec"]["template"]["spec"]
        ports = {each["name"]: each["containerPort"] for each in pod["containers"][0]["ports"]}
        config = tomllib.loads(named(everything, "ConfigMap", "anonymizer-config")["data"]["config.toml"])
        assert ports == {"http": config["api"]["port"], "metrics": config["api"]["metrics_port"]}
        assert ports["http"] != ports["metrics"]
        [backend] = of_kind(everything, "Ingress")[0]["spec"]["rules"][0]["http"]["paths"]
        [route] = of_kind(everything, "HTTPRoute")[0]["spec"]["rules"][0]["backendRefs"]
        assert route["name"] == backend["backend"]["service"]["name"] == "anonymizer-ingress"
        service = named(everything, "Service", route["name"])
        assert [each["targetPort"] for each in service["spec"]["ports"]] == ["http"]

    def test_alerts_ask_for_services_that_are_scraped(self, everything: list[Json], alerts: list[Json]) -> None:
        asked = set(re.findall(r'service="([^"]+)"', " ".join(each["expr"] for each in alerts)))
        wanted = [each["spec"]["selector"]["matchLabels"].items() for each in of_kind(everything, "ServiceMonitor")]
        scraped = {
            each["metadata"]["name"]
            for each in of_kind(everything, "Service")
            if any(labels <= each["metadata"]["labels"].items() for labels in wanted)
        }
        assert asked == scraped

    def test_rays_pods_are_found(self, everything: list[Json]) -> None:
        spec = of_kind(everything, "PodMonitor")[0]["spec"]
        rays = [pod for _, pod in helmchart.pods(everything) if "velum.dev/ray" in pod["metadata"]["labels"]]
        assert rays
        for pod in rays:
            assert spec["selector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
            ports = {port["name"] for port in pod["spec"]["containers"][0]["ports"]}
            assert spec["podMetricsEndpoints"][0]["port"] in ports
