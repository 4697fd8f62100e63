"""Parameters as a client sends them, read with the defaults of a server that nobody configured."""

import pytest

from velum.api.task import TaskSpec
from velum.errors import InvalidInput
from velum.settings import ApiSettings
from velum_ingress.parameters import Defaults, Submission, parse

DEFAULTS = Defaults.of(ApiSettings())


def asked(query: dict[str, str] | list[tuple[str, str]], headers: dict[str, str] | None = None) -> Submission:
    pairs = list(query.items()) if isinstance(query, dict) else query
    return parse(pairs, headers or {}, DEFAULTS)


def spec(**query: str) -> TaskSpec:
    names = {name.replace("_", "-"): value for name, value in query.items()}
    return asked({"face": "true", **names}).spec("k", "f")


def refused(query: dict[str, str] | list[tuple[str, str]], headers: dict[str, str] | None = None) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        asked(query, headers)
    return caught.value
