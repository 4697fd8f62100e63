"""The header that a client wants added to its webhook's call. Its value is a secret: no error here repeats it."""

from collections.abc import Mapping

from velum.errors import InvalidInput
from velum.net.headers import refused_name, refused_value
from velum.tasks.store import SecretHeader
from velum_ingress.parameters.table import HEADER_NAME, HEADER_VALUE


def secret_header(given: Mapping[str, str], headers: Mapping[str, str]) -> SecretHeader | None:
    """Return the header from the query or from the request's headers; None when there is none.

    Raises:
        InvalidInput: only one of name and value is there, the two places differ, or the header may not be set.
    """
    name, value = _one(HEADER_NAME, given, headers), _one(HEADER_VALUE, given, headers)
    if name is None and value is None:
        return None
    if name is None:
        raise InvalidInput(HEADER_NAME, f"is missing; {HEADER_VALUE} was given")
    if value is None:
        raise InvalidInput(HEADER_VALUE, f"is missing; {HEADER_NAME} was given")
    name, value = name.strip(" "), value.strip(" ")
    for field, why in ((HEADER_NAME, refused_name(name)), (HEADER_VALUE, refused_value(value))):
        if why:
            raise InvalidInput(field, why)
    return SecretHeader(name, value)


def _one(field: str, given: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    query, header = given.get(field), headers.get(field) or None
    if query is not None and header is not None and query != header:
        raise InvalidInput(field, "differs between the query and the request's headers")
    return query if query is not None else header
