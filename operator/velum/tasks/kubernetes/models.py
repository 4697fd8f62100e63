"""The ModelStore half of the Kubernetes store."""

from velum.api.meta import API_VERSION
from velum.api.model import AnonymizationModel, ModelSpec, ModelStatus
from velum.errors import AlreadyExists, Conflict, NotFound
from velum.tasks.kubernetes.bodies import merge_patch
from velum.tasks.kubernetes.collection import Collection, Json
from velum.tasks.kubernetes.refusals import PART
from velum.tasks.reading import parse, readable

TRIES = 5
"""Times a change is tried anew because somebody else was faster: more in a row means a fight, which is an error."""


async def listed(models: Collection) -> tuple[AnonymizationModel, ...]:
    """Return all models by name. There are a handful, so one page holds them."""
    page = await models.page({})
    return tuple(sorted(readable(page["items"] or (), _parsed), key=lambda model: model.name))


async def put(models: Collection, name: str, spec: ModelSpec) -> AnonymizationModel:
    """Create the model, or replace its spec if it differs. Raises InvalidInput."""
    body: Json = {"apiVersion": API_VERSION, "kind": "AnonymizationModel", "metadata": {"name": name}}
    for _ in range(TRIES):
        try:
            old = await models.get(name)
            if (model := _parsed(old)).spec == spec:
                return model
            return _parsed(await models.replace(name, {**old, "spec": spec.wire()}))
        except NotFound:
            try:
                return _parsed(await models.create({**body, "spec": spec.wire()}))
            except AlreadyExists:
                continue
        except Conflict:
            continue
    raise Conflict(name)


async def write_status(models: Collection, model: AnonymizationModel, status: ModelStatus) -> AnonymizationModel:
    """Replace the status if the model is still at the version given. Raises Conflict, NotFound."""
    patch = {
        "metadata": {"resourceVersion": model.metadata.resource_version},
        "status": merge_patch(model.status.wire(), status.wire()),
    }
    return _parsed(await models.patch(model.name, patch, subresource="status"))


def _parsed(item: Json) -> AnonymizationModel:
    return parse(item, AnonymizationModel, PART)
