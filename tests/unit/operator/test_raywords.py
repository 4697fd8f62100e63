"""What is shown of Ray's messages. The texts are Ray 2.60's own, word for word, but for folders and frames left out."""

import pytest

from support.kuberay import status
from velum_operator.rayapi import parse_deployed
from velum_operator.rayservice import applications_of
from velum_operator.raywords import cause, shown

BUILDING = """Deploying app 'default' failed with exception:
Traceback (most recent call last):
  File "/opt/ray/serve/_private/application_state.py", line 926, in _reconcile_build_app_task
    serialized_application_autoscaling_policy_def, args, err = ray.get(  # type: ignore[call-overload]
                                                               ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
  File "/opt/ray/_private/auto_init_hook.py", line 22, in auto_init_wrapper
    return fn(*args, **kwargs)
           ^^^^^^^^^^^^^^^^^^^
  File "/opt/ray/_private/worker.py", line 1053, in get_objects
    raise value.as_instanceof_cause()
ray.exceptions.RayTaskError(RuntimeError): \x1b[36mray::build_serve_application()\x1b[39m (pid=26217, ip=127.0.0.1)
  File "/opt/ray/serve/_private/application_state.py", line 1843, in build_serve_application
    raise RuntimeError(err_str) from None
RuntimeError: Traceback (most recent call last):
  File "/opt/ray/serve/_private/api.py", line 388, in call_user_app_builder_with_args_if_necessary
    app = builder(args)
          ^^^^^^^^^^^^^
  File "/opt/velum_serve/arguments.py", line 65, in registry
    registry.locate(name, file)
  File "/opt/velum_pipeline/packs/registry.py", line 117, in locate
    raise WeightsMissing(name, file.name, searched, fetched=file.has_origin)
velum_pipeline.packs.errors.WeightsMissing: weights centerface.onnx of model pack centerface not found in any folder; \
get them with `velum models fetch centerface` (behind a firewall: `velum models fetch centerface --mirror URL`)
"""
WEIGHTS = "weights centerface.onnx of model pack centerface not found in any folder; get them with "

STARTING = """The deployment failed to start 3 times in a row. This may be due to a problem with its constructor or \
initial health check failing. See controller logs for details. Error:
\x1b[36mray::ServeReplica:initfails:Anonymizer.initialize_and_get_metadata()\x1b[39m (pid=26218, ip=127.0.0.1, \
actor_id=8c743aab5065c407031a3c6701000000, repr=<ray.serve._private.replica.ServeReplica:initfails:Anonymizer object>)
  File "/usr/lib/python3.11/concurrent/futures/_base.py", line 401, in __get_result
    raise self._exception
           ^^^^^^^^^^^^^^^^
  File "/opt/ray/serve/_private/replica.py", line 1928, in initialize
    raise RuntimeError(traceback.format_exc()) from None
RuntimeError: Traceback (most recent call last):
  File "/opt/obstore/store.py", line 773, in from_url
    scheme = _parse_scheme(url)
             ^^^^^^^^^^^^^^^^^^
obstore.exceptions.GenericError: Generic URL error: Unable to recognise URL "nonsense://x"

Debug source:
Generic {
    store: "URL",
}

The above exception was the direct cause of the following exception:

\x1b[36mray::ServeReplica:initfails:Anonymizer.initialize_and_get_metadata()\x1b[39m (pid=26218, ip=127.0.0.1)
  File "/opt/velum_serve/app.py", line 67, in __init__
    self._replica = Replica(
                    ^^^^^^^^
  File "/opt/velum/storage/blobs.py", line 68, in __init__
    raise InvalidInput("storage", f"{url}: {_first_line(error)}") from error
velum.errors.InvalidInput: storage: nonsense://x: Generic URL error: Unable to recognise URL "nonsense://x"
"""
STORAGE = 'storage: nonsense://x: Generic URL error: Unable to recognise URL "nonsense://x"'
POINTER = "Failed to update the deployments ['Anonymizer']."

DIED = """The deployment failed to start 3 times in a row. This may be due to a problem with its constructor or \
initial health check failing. See controller logs for details. Error:
The actor died unexpectedly before finishing this task.
\tclass_name: ServeReplica:default:Anonymizer
\tpid: 4242"""


class TestCause:
    def test_ours_is_said_without_its_class(self) -> None:
        assert cause(BUILDING).startswith(WEIGHTS)
        assert cause(BUILDING).endswith("--mirror URL`)")
        assert cause(STARTING) == STORAGE

    def test_others_keep_theirs_and_all_their_lines(self) -> None:
        first = STARTING[: STARTING.index("\nThe above exception")]
        text = cause(first)
        assert text.startswith('obstore.exceptions.GenericError: Generic URL error: Unable to recognise URL "nonsense')
        assert text.endswith('Generic {\n    store: "URL",\n}')

    def test_without_a_traceback_it_is_all_there_is(self) -> None:
        assert cause(DIED) == DIED
        assert cause("") == ""

    @pytest.mark.parametrize("length", [60, 200, 400, 700, 1000])
    def test_a_traceback_that_breaks_off_is_shown_as_it_is(self, length: int) -> None:
        """Nothing is lost where we do not understand: KubeRay or Ray may cut."""
        text = cause(BUILDING[:length])
        assert text
        assert text in BUILDING.replace("\x1b[36m", "").replace("\x1b[39m", "")

    def test_colours_go_also_where_their_escape_is_lost(self) -> None:
        assert cause("[36mray::f()[39m") == cause("\x1b[36mray::f()\x1b[39m") == "ray::f()"


class TestShown:
    def test_what_only_points_at_a_deployment_gives_way_to_it(self) -> None:
        assert shown(POINTER, [STARTING]) == STORAGE
        assert shown("The deployments ['Anonymizer'] are UNHEALTHY.", ["", DIED]) == DIED
        assert shown("", [STARTING]) == STORAGE

    def test_else_the_application_knows(self) -> None:
        assert shown(BUILDING, [STARTING]).startswith(WEIGHTS)
        assert shown(POINTER, [""]) == POINTER
        assert shown("", []) == ""


def test_both_ways_of_asking_say_the_same() -> None:
    deployments = {"Anonymizer": {"status": "DEPLOY_FAILED", "message": STARTING, "replicas": []}}
    details = {"status": "DEPLOY_FAILED", "message": POINTER, "deployments": deployments}
    by_ray = parse_deployed({"applications": {"default": details}}).applications["default"]
    told = status(active="velum-abcde", applications={"default": "DEPLOY_FAILED"}, endpoints=1)
    each = told["activeServiceStatus"]["applicationStatuses"]["default"]
    each |= {"message": POINTER, "serveDeploymentStatuses": {"Anonymizer": {"message": STARTING}}}
    rayservice = {"metadata": {"name": "velum"}, "spec": {"serveConfigV2": '{"applications": [{"name": "default"}]}'}}
    by_kuberay = applications_of({**rayservice, "status": told}, None)["default"]
    assert by_ray.message == by_kuberay.message == STORAGE
