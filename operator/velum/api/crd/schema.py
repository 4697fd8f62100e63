"""From a pydantic model to a structural OpenAPI v3 schema, the dialect that Kubernetes takes.

Three things differ from pydantic's JSON schema. There are no references: each is replaced by what it names, and the
words at the reference win over the words at the definition. There is no null: an optional field is one that may be
absent. And a default object is told in full: the API server checks a default against the CEL rules before it fills
in the defaults of the fields below.

The list of keywords is closed: a keyword without a known meaning on the API server is an error here rather than a
constraint that silently holds in Python only. https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from copy import deepcopy
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, NoDefault
from pydantic_core import core_schema

Schema = dict[str, Any]

PASSED_ON = frozenset(
    {
        "type",
        "format",
        "description",
        "default",
        "enum",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "minItems",
        "maxItems",
        "minProperties",
        "maxProperties",
        "required",
    }
)
"""Keywords that mean the same in both dialects."""

KUBERNETES = "x-kubernetes-"
"""Start of the keywords that the types carry for the API server alone."""

INT32_MAX = 2**31 - 1


class UnsupportedSchema(ValueError):
    """A type says something that a structural schema cannot say; `path` is the field, from the model on."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: a structural schema has no {what}")
        self.path = path


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, but defaults made by a factory are told as well."""

    def get_default_value(self, schema: core_schema.WithDefaultSchema) -> Any:
        factory = schema.get("default_factory")
        if factory is None:
            return super().get_default_value(schema)
        if schema.get("default_factory_takes_data"):
            return NoDefault
        made = factory()  # type: ignore[call-arg]  # the branch above took those with an argument
        return made.model_dump(mode="json", by_alias=True, exclude_none=True) if isinstance(made, BaseModel) else made


def structural(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model, as it is on the wire.

    Raises:
        UnsupportedSchema: the model uses something that Kubernetes' dialect does not have.
    """
    document = model.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generator)
    return _Converter(document.get("$defs", {})).convert(document, model.__name__)


class _Converter:
    """Walks one document; holds the definitions that its references name."""

    def __init__(self, definitions: dict[str, Schema]) -> None:
        self._definitions = definitions

    def convert(self, node: Schema, path: str) -> Schema:
        """Return the structural form of one node."""
        node = self._resolved(node, path)
        result: Schema = {}
        for key, value in node.items():
            if key in PASSED_ON or key.startswith(KUBERNETES):
                result[key] = deepcopy(value)  # a definition is used in many places: no place may share its lists
            elif key == "properties":
                result[key] = {name: self.convert(child, f"{path}.{name}") for name, child in value.items()}
            elif key in {"items", "additionalProperties"}:
                result[key] = self.convert(value, f"{path}[]")
            elif key == "const":
                result["enum"] = [value]
            elif key not in {"title", "$defs"}:
                raise UnsupportedSchema(path, key)
        if "type" not in result:
            raise UnsupportedSchema(path, "value without a type")
        return _finished(result)

    def _resolved(self, node: Schema, path: str) -> Schema:
        """Return the node without reference and without null; its own keywords win over those it refers to."""
        own = {key: value for key, value in node.items() if key not in {"$ref", "anyOf"}}
        if "$ref" in node:
            target = self._definitions[node["$ref"].removeprefix("#/$defs/")]
            return {**self._resolved(target, path), **own}
        if "anyOf" not in node:
            return own
        choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
        if len(choices) != 1:
            raise UnsupportedSchema(path, "anyOf but to allow null")
        if own.get("default", ...) is None:
            del own["default"]
        return {**self._resolved(choices[0], path), **own}


def _finished(node: Schema) -> Schema:
    if "description" in node:  # docstrings are wrapped for the source file, kubectl explain wraps for the terminal
        node["description"] = " ".join(node["description"].split())
    if node["type"] == "integer" and "enum" not in node:
        # Clients in typed languages choose the width of their integers by the format.
        node["format"] = "int32" if node.get("maximum", INT32_MAX + 1) <= INT32_MAX else "int64"
    return node
