"""Resources as a store keeps them, read by this version. Another one may have written what this one cannot read."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from pydantic import ValidationError

from velum.api.model import AnonymizationModel
from velum.api.task import AnonymizationTask
from velum.errors import Unavailable

Resource = TypeVar("Resource", AnonymizationTask, AnonymizationModel)
Kept = TypeVar("Kept")
Read = TypeVar("Read")

log = logging.getLogger(__name__)


def parse(document: Mapping[str, Any], kind: type[Resource], part: str) -> Resource:
    """Return the resource that a document describes. Raises Unavailable, naming the resource and the store (`part`)."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        name = document.get("metadata", {}).get("name")
        raise Unavailable(part, f"{kind.__name__} {name} cannot be read by this version of Velum: {error}") from error


def readable(kept: Iterable[Kept], parsed: Callable[[Kept], Read]) -> Iterator[Read]:
    """Yield what `parsed` can read, and log what it cannot: one strange resource must not hide the others."""
    for each in kept:
        try:
            yield parsed(each)
        except Unavailable as error:
            log.warning("%s", error)
