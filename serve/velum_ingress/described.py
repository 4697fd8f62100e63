"""How each route describes itself in the OpenAPI document: parameters from the one table, answers with their shapes.

Each constant is a set of keyword arguments for the route's decorator.
"""

from typing import Any

from velum_ingress import schemas
from velum_ingress.downloads import EXTENSIONS
from velum_ingress.parameters import ROWS
from velum_ingress.parameters.values import BOOLEAN, Reader, text, whole, word

ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "The task's id, as the upload's answer names it.",
    "schema": {"type": "string", "maxLength": 253},
}


def _query(name: str, reader: Reader, help_: str, default: Any = None, example: Any = None) -> dict[str, Any]:
    schema = reader.schema if default is None else {**reader.schema, "default": default}
    found = {"name": name, "in": "query", "description": help_, "schema": schema}
    return found if example is None else {**found, "example": example}


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    texts = {
        400: "The request is at fault; `field` names where.",
        404: "There is no such task, or no such result of it.",
        409: "The task has not ended.",
        413: "Too many bytes or pixels.",
        415: "No picture or video of a known format.",
        422: "The task failed.",
        500: "The server or the work failed.",
        503: "The queue is full, or a part of the server does not answer; `Retry-After` says when to try again.",
    }
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {each: {"description": texts[each], "content": {"application/problem+json": schema}} for each in statuses}


def _json(model: type, text_: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"description": text_, "model": model}
    if headers:
        found["headers"] = {name: {"description": each, "schema": {"type": "string"}} for name, each in headers.items()}
    return found


def _file(text_: str, *types: str) -> dict[str, Any]:
    return {
        "description": text_,
        "content": {each: {"schema": {"type": "string", "format": "binary"}} for each in types},
    }


def _described(
    summary: str, answers: dict[int | str, dict[str, Any]], *parameters: dict[str, Any], **extra: Any
) -> dict[str, Any]:
    return {"summary": summary, "responses": answers, "openapi_extra": {"parameters": list(parameters), **extra}}


_ASYNC = {
    "name": "x-is-async",
    "in": "header",
    "description": "true, 1, yes or on: answer 202 at once instead of waiting for the result.",
    "schema": {"type": "boolean", "default": False},
}
_BODY = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["fileobject"],
                "properties": {
                    "fileobject": {"type": "string", "format": "binary", "description": "The picture or video."}
                },
            }
        }
    },
}
_LOCATION = {"Location": "The task."}

POST_FILE = _described(
    "Anonymize a picture or video",
    {
        200: _json(schemas.Task, "Done.", _LOCATION),
        202: _json(schemas.Task, "Accepted; follow `Location`.", _LOCATION),
        **_problems(400, 404, 413, 415, 500, 503),
    },
    *(_query(row.name, row.reader, row.help, row.default, row.example) for row in ROWS),
    _ASYNC,
    requestBody=_BODY,
)

_PICTURES = tuple(name for name in EXTENSIONS if name.startswith("image/"))
_RESULT_PROBLEMS = _problems(400, 404, 409, 422, 500, 503)
_RANGES: dict[int | str, dict[str, Any]] = {
    206: {"description": "The part that `Range` names."},
    304: {"description": "Not changed since the version that `If-None-Match` names."},
    416: {"description": "Nothing of what `Range` names is there."},
}

ANONYMISED = _described(
    "The anonymized picture",
    {200: _file("The picture, in the format it came in.", *_PICTURES), **_RANGES, **_RESULT_PROBLEMS},
    ID,
    _query(
        "quality", whole(0, 100), "Encode JPEG, WebP, HEIC or AVIF anew at this quality; 0: as it is. Ends `lossless`."
    ),
    _query("compress-level", whole(0, 9), "Encode PNG or TIFF anew at this level."),
)
MASK = _described(
    "A mask",
    {200: _file("The mask.", "image/png"), **_RANGES, **_RESULT_PROBLEMS},
    ID,
    _query("mask-scale", whole(1, 100), "Percent of the stored mask's size, nearest neighbour.", 100),
)
METADATA = _described(
    "What was found in the picture",
    {200: _json(schemas.Metadata, "The detections."), **_RANGES, **_RESULT_PROBLEMS},
    ID,
)
VIDEO = _described("The anonymized video", {200: _file("The video.", "video/mp4"), **_RANGES, **_RESULT_PROBLEMS}, ID)
VIDEO_METADATA = _described(
    "What was found in the video",
    {200: _json(list[schemas.FrameMetadata], "The frames."), **_RANGES, **_RESULT_PROBLEMS},
    ID,
    _query("start", whole(0, 2**31 - 1), "First frame, from 0. Also `start-frame`. Beyond the last: an empty array."),
    _query("end", whole(0, 2**31 - 1), "Last frame, inclusive. Also `end-frame`."),
)

_STATUS = _query("status", word("queued", "processing", "done", "failed", "deleted"), "Only tasks with this status.")
_SCOPE = (
    _query("record", BOOLEAN, "Delete the task itself.", True),
    _query("files", BOOLEAN, "Delete its input and output files.", True),
)

LIST = _described(
    "All tasks",
    {
        200: _json(
            list[schemas.Task],
            "Tasks in order of creation.",
            {"Link": 'The next page (`rel="next"`); absent on the last.', "X-Next-Cursor": "Its cursor."},
        ),
        **_problems(400, 503),
    },
    _STATUS,
    _query("limit", whole(1, 1000), "Most tasks in the answer.", 100),
    _query("cursor", text(2048), "Where the page starts, from `X-Next-Cursor`."),
)
DELETE_LIST = _described(
    "Delete all tasks", {200: _json(schemas.DeletedMany, "How many."), **_problems(400, 503)}, _STATUS, *_SCOPE
)
TASK = _described("One task", {200: _json(schemas.Task, "The task."), **_problems(400, 404, 503)}, ID)
DELETE_TASK = _described(
    "Delete a task",
    {
        200: _json(schemas.Deleted, "Deleted. With `record=false` the task stays, with status `deleted`."),
        202: _json(schemas.Deleted, "Accepted; done once the controller runs."),
        **_problems(400, 404, 503),
    },
    ID,
    *_SCOPE,
)

STATUS = _described(
    "Whether work is done",
    {200: _json(schemas.Running, "The server takes work."), 500: _json(schemas.Down, "It does not, and why.")},
)
HEALTH = _described("Whether the process is alive", {200: _json(schemas.Alive, "It is.")})
READY = _described("Whether store and storage answer", {200: _json(schemas.Alive, "They do."), **_problems(503)})
METRICS = _described(
    "Metrics",
    {200: {"description": "Prometheus' text format.", "content": {"text/plain": {"schema": {"type": "string"}}}}},
)
