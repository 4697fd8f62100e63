"""Accept and reject cases for every constraint of the resource types, made by walking the generated schemas.

Bounds, lengths, enums, types, required fields and list types give their cases by themselves; a pattern or a rule
whose good and bad values are not listed here is a KeyError, so that none goes untested. The unit tests run every case
through pydantic, the cluster tests through a real API server: that is how the two are held together.

Values that only pydantic's leniency would take (`"90"` for a number) are no cases: nothing but the API server's
output and typed values is ever parsed.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from velum.api import crd, model, task
from velum.api.meta import API_VERSION

REMOVED = object()
"""In place of a value: the field is left out."""

FILE = {"key": "tasks/a/b/x.jpg", "mediaType": "image/jpeg", "size": 3, "sha256": "0" * 64}
NOW = "2026-01-02T03:04:05.678901Z"
CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Deployed",
    "lastTransitionTime": NOW,
    "observedGeneration": 1,
}
BOXED = {"thresholdPercent": 50, "kernelPercent": 35, "gradientStartPercent": 200, "gradientStopPercent": 0}
SHAPED = {"thresholdPercent": 40, "kernelPixels": 61}

FULL: dict[str, dict[str, Any]] = {
    "AnonymizationTask": {
        "metadata": {"name": "street"},
        "spec": {
            "source": {"object": {"key": "incoming/street.jpg"}},
            "destination": {"prefix": "done/"},
            "filename": "street.jpg",
            "classes": {"face": BOXED, "licensePlate": BOXED, "person": SHAPED, "vehicle": SHAPED},
            "ignores": [{"left": 0, "top": 0, "width": 1, "height": 1}],
            "tiling": {"mode": "pano", "panoWidth": 8192},
            "webhook": {"url": "https://example.com/", "headerSecretRef": {"name": "hook"}},
            "activeDeadlineSeconds": 60,
            "ttlSecondsAfterFinished": 60,
        },
        "status": {
            "phase": "Complete",
            "conditions": [CONDITION],
            "result": {
                "attempt": 1,
                **dict.fromkeys(("anonymised", "binaryMask", "instanceMask", "metadata", "metadataIndex"), FILE),
                "detections": {"face": 2},
                "leftOut": ["a second video stream"],
                "converted": ["stream 2 (subtitle, subrip) to mov_text"],
            },
            "frames": {"done": 1, "of": 2},
            "webhook": {"state": "Pending", "nextAttemptAt": NOW},
        },
    },
    "AnonymizationModel": {
        "metadata": {"name": "street"},
        "spec": {
            "packs": ["street"],
            "classes": ["face"],
            "scale": {"minReplicas": 0, "maxReplicas": 1000},
            "batch": {},
            "video": {},
        },
        "status": {"conditions": [CONDITION]},
    },
}
"""One valid resource of each kind in which every object and list is present, so that every field has a place."""

URL_GOOD = ("http://a", "https://example.com:8443/a/b?c=d#e", "https://[2001:db8::1]/", "http://bücher.example/ü")
URL_BAD = (
    "",
    "ftp://example.com/a",
    "file:///etc/passwd",
    "//example.com/a",
    "https://",
    "http:///a",
    "http://a b/",
    "http://a/\n",
)
LABEL_GOOD = ("a", "0", "a-b", "a.b", "a1")
LABEL_BAD = ("", "A", "-a", "a-", "a_b", "a/b", "ä", "a\n")
PATTERNS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    task.URL_PATTERN: (URL_GOOD, URL_BAD),
    task.DNS_LABEL: (LABEL_GOOD, LABEL_BAD),
    task.SOURCE_PATTERN: (("a", "a/b.jpg", "a b/ü.jpg"), ("", "/a", "/", "a/", "a\x00b", "a\nb", "a\x7f", "a\n")),
    task.PREFIX_PATTERN: (("a", "a/", "a/b-"), ("", "/a", "/", "a\x00", "a\nb/", "\x7f")),
    task.FILENAME_PATTERN: (("a", "C:\\a.jpg", "a b.jpg", "ü"), ("", "a/b", "/", "a\r\nb", "\x00")),
}

SEGMENTS = (("a", "a/b", "..a/b..", "a/...", ".a"), ("..", ".", "../a", "a/../b", "a/./b", "a/..", "./a", "a//b"))
RULES: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
    task.SEGMENTS.message: SEGMENTS,
    task.OUTSIDE_TASKS.message: (("tasks", "tasks-done/", "a/tasks/"), ("tasks/", "tasks/default/a/", "tasks/x")),
    task.ODD.message: ((1, 3, 2047), (2, 60)),
    task.ONE_SOURCE.message: (
        ({"url": "http://a"}, {"object": {"key": "a"}}),
        ({}, {"url": "http://a", "object": {"key": "a"}}),
    ),
    task.SOME_CLASS.message: (({"face": {}}, {"licensePlate": {}}, {"person": {}}, {"vehicle": {}}), ({},)),
    task.GRADIENT.message: (
        ({}, {"gradientStartPercent": 10, "gradientStopPercent": 10}, {"gradientStartPercent": 0}),
        ({"gradientStopPercent": 31}, {"gradientStartPercent": 9, "gradientStopPercent": 10}),
    ),
    task.PANO.message: (
        ({}, {"mode": "grid", "columns": 2}, {"mode": "pano", "panoWidth": 4096}),
        ({"mode": "pano"}, {"panoWidth": 4096}, {"mode": "auto", "panoWidth": 4096}),
    ),
    model.REPLICAS.message: (
        ({}, {"minReplicas": 2, "maxReplicas": 2}),
        ({"minReplicas": 2}, {"minReplicas": 3, "maxReplicas": 2}),
    ),
    model.WHOLE_GPUS.message: ((0, 1, 100, 200, 800), (101, 150, 799)),
}
NAME_RULES = {model.SHORT_NAME.message: ("a" * 63, "a" * 64)}
"""Rules at the root, which speak of the name alone."""


@dataclass(frozen=True)
class Case:
    """One resource, whether it is accepted, and if not which field the refusal names and which words it has."""

    id: str
    resource: dict[str, Any]
    accepted: bool
    field: str
    words: str = ""

    @property
    def kind(self) -> str:
        """The kind of the resource."""
        return str(self.resource["kind"])


def full(kind: str) -> dict[str, Any]:
    """Return the resource of FULL, as it would be posted."""
    return {"apiVersion": API_VERSION, "kind": kind, **deepcopy(FULL[kind])}


def cases() -> list[Case]:
    """Return the cases of every constraint of every kind."""
    return [case for kind in crd.KINDS for case in _walk(kind, _schema(kind), ())]


def _schema(kind: str) -> dict[str, Any]:
    root: dict[str, Any] = crd.build(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for standard in ("apiVersion", "kind", "metadata"):
        del root["properties"][standard]
    return root


def field_of(path: tuple[str | int, ...]) -> str:
    """Return a path as the API server writes it: `spec.ignores[0].left`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _walk(kind: str, node: dict[str, Any], path: tuple[str | int, ...]) -> Iterator[Case]:
    for value, accepted, what, words in _values(node):
        yield _case(kind, path, value, accepted, what, words)
    for number, rule in enumerate(node.get("x-kubernetes-validations", ())):
        if "oldSelf" not in rule["rule"]:
            yield from _ruled(kind, path, rule["message"], f"rule-{number}")
    if path:
        yield _case(kind, path, _of_another_type(node), False, "type", "")
    for name in node.get("required", ()):
        yield _case(kind, (*path, name), REMOVED, False, "required", "")
    for name, child in node.get("properties", {}).items():
        yield from _walk(kind, child, (*path, name))
    if "items" in node:
        yield from _walk(kind, node["items"], (*path, 0))
    if "additionalProperties" in node:
        yield from _walk(kind, node["additionalProperties"], (*path, "face"))


def _of_another_type(node: dict[str, Any]) -> Any:
    if node.get("format") == "date-time":
        return {}  # the API server (1.36) takes a list for a time, and nothing else that is wrong
    return "text" if node["type"] in {"object", "array"} else [True]


def _ruled(kind: str, path: tuple[str | int, ...], message: str, what: str) -> Iterator[Case]:
    if not path:
        good, bad = NAME_RULES[message]
        yield _case(kind, ("metadata", "name"), good, True, "rule", "")
        yield Case(f"{kind}:metadata.name:rule:reject", _placed(kind, ("metadata", "name"), bad), False, "", message)
        return
    accepted, rejected = RULES[message]
    for number, value in enumerate(accepted):
        yield _case(kind, path, value, True, f"{what}-{number}", "")
    for number, value in enumerate(rejected):
        yield _case(kind, path, value, False, f"{what}-{number}", message)


def _values(node: dict[str, Any]) -> Iterator[tuple[Any, bool, str, str]]:
    """Yield value, whether it is accepted, and the constraint that it is about."""
    if "enum" in node:
        yield from ((value, True, f"enum-{value}", "") for value in node["enum"])
        yield ("nonsense" if node["type"] == "string" else max(node["enum"]) + 1), False, "enum", ""
    if "minimum" in node:
        yield node["minimum"], True, "minimum", ""
        yield node["minimum"] - 1, False, "minimum", ""
    if "maximum" in node:
        yield node["maximum"], True, "maximum", ""
        yield node["maximum"] + 1, False, "maximum", ""
    if "pattern" in node:
        good, bad = PATTERNS[node["pattern"]]
        yield from ((value, True, f"pattern-{number}", "") for number, value in enumerate(good))
        yield from ((value, False, f"pattern-{number}", "") for number, value in enumerate(bad))
    if "minLength" in node:
        yield "a" * node["minLength"], True, "minLength", ""
        yield "a" * (node["minLength"] - 1), False, "minLength", ""
    if "maxLength" in node:
        start = "http://" if node.get("pattern") == task.URL_PATTERN else ""
        yield start + "a" * (node["maxLength"] - len(start)), True, "maxLength", ""
        yield start + "a" * (node["maxLength"] - len(start) + 1), False, "maxLength", ""
    if node.get("format") == "date-time":
        yield from (
            (value, True, f"time-{value}", "") for value in (NOW, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+02:00")
        )
        yield "yesterday", False, "time", ""
    yield from _collections(node)


def _collections(node: dict[str, Any]) -> Iterator[tuple[Any, bool, str, str]]:
    if "minItems" in node:
        yield _items(node, node["minItems"]), True, "minItems", ""
        yield _items(node, node["minItems"] - 1), False, "minItems", ""
    if "maxItems" in node:
        yield _items(node, node["maxItems"]), True, "maxItems", ""
        yield _items(node, node["maxItems"] + 1), False, "maxItems", ""
    if node.get("x-kubernetes-list-type") in {"set", "map"}:
        yield _items(node, 1) * 2, False, "twice", ""
    if "maxProperties" in node:
        yield {f"k{number}": 1 for number in range(node["maxProperties"])}, True, "maxProperties", ""
        yield {f"k{number}": 1 for number in range(node["maxProperties"] + 1)}, False, "maxProperties", ""


def _items(node: dict[str, Any], count: int) -> list[Any]:
    """Return so many items, all different as far as the item's enum has values."""
    item = node["items"]
    if "enum" in item:
        return [item["enum"][number % len(item["enum"])] for number in range(count)]
    if item["type"] == "string":
        return [f"item-{number}" for number in range(count)]
    if "lastTransitionTime" in item["properties"]:
        return [{**CONDITION, "type": f"Kind{number}"} for number in range(count)]
    return [{"left": number, "top": 0, "width": 1, "height": 1} for number in range(count)]


def _case(kind: str, path: tuple[str | int, ...], value: Any, accepted: bool, what: str, words: str) -> Case:
    verdict = "accept" if accepted else "reject"
    return Case(
        f"{kind}:{field_of(path)}:{what}:{verdict}", _placed(kind, path, value), accepted, field_of(path), words
    )


def _placed(kind: str, path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    """Return the full resource with this value at the path, and what must change for it to fit."""
    resource = full(kind)
    if path[:3] == ("spec", "source", "url"):
        resource["spec"]["source"] = {}
    if path == ("spec", "tiling", "mode") and value != "pano":
        resource["spec"]["tiling"] = {}
    place: Any = resource
    for part in path[:-1]:
        place = place[part] if isinstance(part, int) else place.setdefault(part, {})
    if value is REMOVED:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return resource
