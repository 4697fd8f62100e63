"""The two parameters that hold structure: `ignores` (rectangles) and `format` (how a picture is cut for detection).

Official clients build these with `str(list)` as often as with `json.dumps`, so Python's quotes are read as JSON's: no
string in either may hold a quote of its own.
"""

import json
from typing import Any

from velum.api.task import PANO_WIDTHS, Ignore, Tiling
from velum.errors import InvalidInput
from velum_ingress.parameters.values import Reader, shown

LONGEST = 16_384
"""Characters of a structured value: 128 rectangles take about 9,000."""

MOST_AREAS = 128
FARTHEST = 1_000_000
"""Pixels; as in the resource."""

MOST_TILES = 32
WIDEST_OVERLAP = 4096

AREA_KEYS = {"topLeftX": "left", "topLeftY": "top", "width": "width", "height": "height"}


def _load(field: str, text: str) -> Any:
    if len(text) > LONGEST:
        raise InvalidInput(field, f"must be at most {LONGEST} characters")
    try:
        return json.loads(text.replace("'", '"'))
    except (ValueError, RecursionError) as error:
        raise InvalidInput(field, f"must be JSON, got {shown(text)}") from error


def _pixels(field: str, value: Any, low: int, high: int) -> int:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(field, f"must be a whole number, got {shown(json.dumps(value))}")
    if not low <= value <= high:
        raise InvalidInput(field, f"must be {low}..{high}, got {shown(str(value))}")
    return value


def _ignores(field: str, text: str) -> tuple[Ignore, ...]:
    found = _load(field, text)
    if not isinstance(found, list):
        raise InvalidInput(field, f"must be a JSON array of rectangles with {', '.join(AREA_KEYS)}")
    if len(found) > MOST_AREAS:
        raise InvalidInput(field, f"must hold at most {MOST_AREAS} rectangles, got {len(found)}")
    return tuple(_area(f"{field}[{index}]", each) for index, each in enumerate(found))


def _area(field: str, value: Any) -> Ignore:
    if not isinstance(value, dict) or set(value) != set(AREA_KEYS):
        raise InvalidInput(field, f"must be an object with exactly {', '.join(AREA_KEYS)}, in pixels")
    sides = {
        ours: _pixels(f"{field}.{key}", value[key], 1 if key in {"width", "height"} else 0, FARTHEST)
        for key, ours in AREA_KEYS.items()
    }
    return Ignore(**sides)


def _format(field: str, text: str) -> Tiling:
    word = text.strip().lower()
    if word == "whole":
        return Tiling(mode="whole")
    if word == "auto":
        return Tiling(mode="auto")
    if word.startswith("pano:"):
        return _pano(field, word.removeprefix("pano:").strip())
    if word.startswith("{"):
        return _grid(field, text)
    raise InvalidInput(
        field, f'must be whole, auto, pano:WIDTH or {{"number":[nx,ny],"overlap":[ox,oy]}}, got {shown(text)}'
    )


def _pano(field: str, width: str) -> Tiling:
    widths = {str(each): each for each in PANO_WIDTHS}
    if width not in widths:
        raise InvalidInput(field, f"pano: the width must be one of {', '.join(widths)}, got {shown(width)}")
    return Tiling(mode="pano", pano_width=widths[width])


def _grid(field: str, text: str) -> Tiling:
    found = _load(field, text)
    unknown = sorted(set(found) - {"number", "overlap"})
    if unknown:
        raise InvalidInput(field, f"{shown(unknown[0])} is not known; tiles have number and overlap")
    columns, rows = _pair(f"{field}.number", found.get("number"), 1, MOST_TILES)
    overlap_x, overlap_y = _pair(f"{field}.overlap", found.get("overlap", [0, 0]), 0, WIDEST_OVERLAP)
    return Tiling(mode="grid", columns=columns, rows=rows, overlap_x=overlap_x, overlap_y=overlap_y)


def _pair(field: str, value: Any, low: int, high: int) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2:
        raise InvalidInput(field, "must be an array of two whole numbers: across, down")
    return _pixels(field, value[0], low, high), _pixels(field, value[1], low, high)


IGNORES = Reader(
    _ignores,
    {
        "type": "string",
        "maxLength": LONGEST,
        "contentMediaType": "application/json",
        "contentSchema": {
            "type": "array",
            "maxItems": MOST_AREAS,
            "items": {
                "type": "object",
                "required": list(AREA_KEYS),
                "properties": {key: {"type": "integer", "minimum": 0, "maximum": FARTHEST} for key in AREA_KEYS},
            },
        },
    },
)
FORMAT = Reader(_format, {"type": "string", "maxLength": LONGEST})
