"""The header that a client wants added to its webhook's call. Its value is a secret: no error here repeats it."""

import re
from collections.abc import Mapping

from velum.errors import InvalidInput
from velum.tasks.store import SecretHeader
from velum_ingress.parameters.table import HEADER_NAME, HEADER_VALUE

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}")
"""RFC 9110, 5.6.2: what a header's name is made of."""

VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{1,4096}")
"""RFC 9110, 5.5: visible ASCII, blanks, and the bytes above. No line ends: they would begin another header."""

REFUSED = frozenset(
    {
        # Hop-by-hop and framing (RFC 9110, 7.6.1): these steer the connection, which is not the client's.
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # What the webhook itself says.
        "content-encoding",
        "content-type",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)


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
    if not TOKEN.fullmatch(name):
        raise InvalidInput(HEADER_NAME, "is not a valid name of an HTTP header")
    if name.lower() in REFUSED:
        raise InvalidInput(
            HEADER_NAME, f"{name} belongs to the connection or to the webhook itself; use another header"
        )
    if not VALUE.fullmatch(value):
        raise InvalidInput(HEADER_VALUE, "must be 1 to 4096 characters of Latin-1 without control characters")
    return SecretHeader(name, value)


def _one(field: str, given: Mapping[str, str], headers: Mapping[str, str]) -> str | None:
    query, header = given.get(field), headers.get(field) or None
    if query is not None and header is not None and query != header:
        raise InvalidInput(field, "differs between the query and the request's headers")
    return query if query is not None else header
