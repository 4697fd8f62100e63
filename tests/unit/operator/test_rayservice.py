"""The RayService as data: what is written into it, and what its status is taken for."""

import copy
from typing import Any

import pytest
import yaml

from support.kuberay import CONFIGMAP, KEY, group, serving, status, template
from velum.errors import Unavailable
from velum_operator.backend import Application
from velum_operator.rayservice import (
    applications_of,
    cluster_of,
    document_of,
    endpoints_of,
    failing_in_preparation,
    manifest,
    renumbered,
    template_of,
    token_secret,
    trouble_of,
    wants_token,
)

OWNER = {"metadata": {"name": CONFIGMAP, "uid": "9f7c"}}


def configmap(text: str | None) -> dict[str, Any]:
    return {**OWNER, "data": {KEY: text} if text is not None else {}}


def document(*names: str) -> dict[str, Any]:
    return {"proxy_location": "EveryNode", "applications": [{"name": name} for name in names]}


def rayservice(*names: str, **told: Any) -> dict[str, Any]:
    return {**manifest(template(), OWNER, document(*names)), "status": told.get("status", serving(*names))}


class TestTemplate:
    def test_it_is_read(self) -> None:
        assert template_of(configmap(yaml.safe_dump(template()))) == template()

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (None, "has no key rayservice.yaml"),
            ("a: [", "is no RayService"),
            ("[]", "is no RayService"),
            ("kind: RayService", "is no RayService"),
            (yaml.safe_dump({**template(), "kind": "RayCluster"}), "must be a ray.io/v1 RayService"),
            (yaml.safe_dump({**template(), "spec": {"rayClusterConfig": None}}), "must be a ray.io/v1 RayService"),
            (
                yaml.safe_dump({**template(), "spec": {"rayClusterConfig": {}, "serveConfigV2": "x"}}),
                "without serveConfigV2",
            ),
            (yaml.safe_dump({**template(), "metadata": {"name": "v" * 48}}), "at most 47 characters"),
        ],
    )
    def test_what_is_wrong_with_it_is_said(self, text: str | None, words: str) -> None:
        with pytest.raises(Unavailable, match=CONFIGMAP) as caught:
            template_of(configmap(text))
        assert words in str(caught.value)


class TestManifest:
    def test_it_is_the_template_with_the_document_and_its_owner(self) -> None:
        given = template()
        before = copy.deepcopy(given)
        made = manifest(given, OWNER, document("default"))
        assert given == before
        assert made["spec"].pop("serveConfigV2")
        assert made["metadata"].pop("ownerReferences") == [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": CONFIGMAP, "uid": "9f7c"}
        ]
        assert made["metadata"]["labels"].pop("app.kubernetes.io/managed-by") == "velum-operator"
        assert made == before

    def test_no_finalizer_holds_it(self) -> None:
        made = manifest(template(), OWNER, document())
        assert "finalizers" not in made["metadata"]
        assert "blockOwnerDeletion" not in made["metadata"]["ownerReferences"][0]

    @pytest.mark.parametrize("name", ["default", "1e3", "0x1f", "on", "y", "null", "1.5"])
    def test_names_stay_names_whoever_parses_it(self, name: str) -> None:
        text = manifest(template(), OWNER, document(name))["spec"]["serveConfigV2"]
        assert f'"{name}"' in text
        assert yaml.safe_load(text) == document(name)
        assert document_of({"spec": {"serveConfigV2": text}}) == document(name)

    def test_equal_documents_give_equal_bytes(self) -> None:
        one = {"applications": [], "proxy_location": "EveryNode"}
        assert manifest(template(), OWNER, one) == manifest(template(), OWNER, dict(reversed(one.items())))

    @pytest.mark.parametrize("text", ["", "applications: [", "[]", "applications: [1]"])
    def test_what_somebody_else_wrote_there_serves_nothing(self, text: str) -> None:
        assert document_of({"spec": {"serveConfigV2": text}})["applications"] == []


class TestToken:
    @pytest.mark.parametrize(
        ("cluster", "secret"),
        [
            ("velum-abcde", "velum-abcde"),
            (f"{'v' * 20}-{'x' * 40}", f"{'v' * 9}-{'x' * 40}"),
            (f"{'v' * 12}-{'x' * 49}", f"r{'x' * 49}"),
            (f"{'v' * 12}7{'x' * 49}", f"r{'x' * 49}"),
        ],
    )
    def test_the_secret_is_named_as_kuberay_does(self, cluster: str, secret: str) -> None:
        assert token_secret(cluster) == secret

    def test_it_is_wanted_where_authentication_is_on(self) -> None:
        assert not wants_token(template())
        assert wants_token(template(authOptions={"mode": "token"}))
        assert not wants_token(template(authOptions={"mode": "disabled"}))


class TestStatus:
    def test_all_is_well(self) -> None:
        given = rayservice("default", status=serving("default", endpoints=3))
        assert trouble_of(given) == ""
        assert endpoints_of(given) == 3
        assert cluster_of(given, "active") == "velum-abcde"
        assert applications_of(given, None) == {"default": Application("RUNNING", "", None)}

    def test_the_dashboard_knows_better(self) -> None:
        told = {"default": Application("UNHEALTHY", "a replica died", 2)}
        assert applications_of(rayservice("default"), told) == told

    def test_what_kuberay_has_not_handed_over_is_being_deployed(self) -> None:
        given = rayservice("default", "new", status=serving("default"))
        assert applications_of(given, {"default": Application("RUNNING", "", 1)})["new"].status == "DEPLOYING"

    def test_what_is_not_in_the_document_is_told_until_it_is_gone(self) -> None:
        told = {name: Application("RUNNING", "", 1) for name in ("default", "old")}
        assert set(applications_of(rayservice("default"), told)) == {"default", "old"}

    def test_a_message_of_the_deployment_is_better_than_none(self) -> None:
        given = rayservice("default")
        application = given["status"]["activeServiceStatus"]["applicationStatuses"]["default"]
        application["serveDeploymentStatuses"]["Anonymizer"]["message"] = "no GPU"
        assert applications_of(given, None)["default"].message == "no GPU"

    def test_nobody_has_worked_on_it(self) -> None:
        given = {**rayservice("default"), "status": {}}
        found = applications_of(given, None)["default"]
        assert found.status == "NOT_STARTED"
        assert "KubeRay has not worked on RayService 'velum' yet" in found.message

    def test_without_endpoints_nothing_takes_work(self) -> None:
        given = rayservice("default", status=serving("default", endpoints=0))
        found = applications_of(given, {"default": Application("RUNNING", "", 1)})["default"]
        assert (found.status, found.replicas) == ("NOT_STARTED", None)
        assert "RayService is initializing" in found.message

    def test_what_a_first_cluster_waits_for_is_said(self) -> None:
        preparing = status(pending="velum-first", preparing={"default": "DEPLOYING"})
        assert "(Ray cluster velum-first: default is DEPLOYING)" in trouble_of(rayservice("default", status=preparing))
        preparing = status(pending="velum-first")
        assert "(Ray cluster velum-first: its head is being started)" in trouble_of(rayservice(status=preparing))

    def test_while_it_is_upgraded_the_old_cluster_counts(self) -> None:
        upgrading = status(active="old", pending="new", preparing={"default": "DEPLOYING loads"}, endpoints=1)
        given = rayservice("default", "other", status=upgrading)
        found = applications_of(given, {"default": Application("RUNNING", "", 1)})
        assert found["default"].status == "RUNNING"
        assert found["default"].note == "Ray cluster new is being prepared to take over: DEPLOYING loads"
        assert found["other"].status == "DEPLOYING"  # the old cluster is not given it any more
        assert "waits for the new Ray cluster new" in found["other"].message

    def test_an_upgrade_is_not_taken_for_a_loss_when_the_dashboard_is_silent(self) -> None:
        upgrading = status(active="old", pending="new", preparing={"default": "RUNNING"}, endpoints=1)
        assert applications_of(rayservice("default", status=upgrading), None)["default"].status == "DEPLOYING"


class TestPreparation:
    def failing(self, *serves: str, **clusters: str) -> dict[str, str]:
        preparing = {"good": "RUNNING", "bad": "DEPLOY_FAILED no such pack", "slow": "DEPLOYING"}
        given = rayservice("good", "bad", "slow", status=status(**clusters, preparing=preparing))
        return failing_in_preparation(given, frozenset(serves))

    def test_what_fails_in_a_first_cluster_holds_it_up(self) -> None:
        assert self.failing(pending="first") == {"bad": "no such pack"}

    def test_what_failed_in_the_old_one_too_holds_the_new_one_up(self) -> None:
        assert self.failing("good", active="old", pending="new") == {"bad": "no such pack"}

    def test_what_the_old_one_serves_is_kept_there(self) -> None:
        assert self.failing("good", "bad", active="old", pending="new") == {}

    def test_a_cluster_that_serves_is_held_up_by_nothing(self) -> None:
        assert self.failing(active="old") == {}


class TestNumbers:
    """KubeRay 1.5 hands a change of numbers alone on to no cluster that runs."""

    def cluster(self, *groups: dict[str, Any]) -> dict[str, Any]:
        return {"metadata": {"name": "velum-abcde"}, "spec": {"workerGroupSpecs": list(groups)}}

    def test_limits_are_the_templates_and_the_rest_stays(self) -> None:
        running = group("cpu", most=2, replicas=2, scaleStrategy={"workersToDelete": ["a"]})
        wanted = template(workerGroupSpecs=[group("cpu", most=8, minReplicas=1)])
        (new,) = renumbered(wanted, self.cluster(running)) or []
        assert new == {**running, "minReplicas": 1, "maxReplicas": 8}

    def test_nothing_is_written_where_nothing_changes(self) -> None:
        assert renumbered(template(), self.cluster(group(replicas=2))) is None

    def test_groups_that_one_of_them_lacks_are_left_alone(self) -> None:
        wanted = template(workerGroupSpecs=[group("cpu", most=2), group("new", most=5)])
        old = group("old", most=7)
        assert renumbered(wanted, self.cluster(group("cpu", most=2), old)) is None
        assert renumbered(wanted, self.cluster(group("cpu", most=1), old)) == [group("cpu", most=2), old]
