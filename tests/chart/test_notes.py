"""What helm says after an installation: how to use it, and what will not work."""

from __future__ import annotations

import pytest

from support.helmchart import CHART, NAMESPACE, Helm

CI = CHART / "ci"
ROUTE = "--set=expose.httpRoute.enabled=true,expose.httpRoute.parentRefs[0].name=public"
NGINX = "--set=expose.ingress.enabled=true,expose.ingress.className=nginx"


def notes(helm: Helm, *flags: object) -> str:
    """The notes of an installation that is only played."""
    said = helm.run("install", "velum", CHART, "--dry-run=client", f"--namespace={NAMESPACE}", *map(str, flags))
    _, found, text = said.partition("\nNOTES:\n")
    assert found
    return text


class TestWarnings:
    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            ([], "wants ReadWriteMany of the cluster's default StorageClass"),
            (["--set=storage.claim.accessModes={ReadWriteOnce}"], "all pods have to run on one node"),
            ([NGINX], "proxy-body-size"),
            ([ROUTE], "settings.api.endpoint"),
            (
                [f"--values={CI / 'external-ray-values.yaml'}", "--set=storage.type=claim"],
                "mount the claim velum-storage",
            ),
            ([f"--values={CI / 'external-ray-values.yaml'}", "--set=modelPacks.fetch={yunet}"], "/var/cache/velum"),
            (["--set=networkPolicy.enabled=false"], "crosses the cluster's"),
            (["--set=networkPolicy.enabled=false", "--set=ray.authMode=disabled"], "ask for no token"),
            (["--set=crds.keep=false"], "removes all tasks"),
        ],
    )
    def test_what_will_not_work_is_said(self, helm: Helm, flags: list[str], words: str) -> None:
        assert words in notes(helm, *flags)

    def test_an_ingress_with_tls_wants_no_endpoint(self, helm: Helm) -> None:
        hosts = "--set=expose.ingress.hosts={a.example},expose.ingress.tls[0].hosts={a.example}"
        assert "settings.api.endpoint" in notes(helm, NGINX)
        assert "settings.api.endpoint" not in notes(helm, NGINX, hosts)

    @pytest.mark.parametrize("values", ["s3", "external-ray"])
    def test_where_all_is_well_there_is_none(self, helm: Helm, values: str) -> None:
        text = notes(helm, "--values", CI / f"{values}-values.yaml", "--set=kuberay.enabled=true")
        assert "! " not in text


class TestUse:
    def test_there_is_a_line_to_try_whatever_is_exposed(self, helm: Helm) -> None:
        assert "port-forward" in notes(helm)
        assert "port-forward" in notes(helm, NGINX)
        named = notes(helm, NGINX, "--set=expose.ingress.hosts={velum.example.org}")
        assert "http://velum.example.org/v1/file" in named
