"""Which header a client may have added to its webhook's call. One list for all: the ingress refuses it at once with a
clear error, the operator refuses what came by `kubectl`.

No text here repeats the value, which is a secret.
"""

import re

NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}")
"""RFC 9110, 5.6.2: what a header's name is made of. No server takes a longer one."""

VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]{1,4096}")
"""RFC 9110, 5.5: visible ASCII, blanks, and the bytes above. No line ends: they would begin another header. 4096: half
of what servers commonly take for all headers together."""

RESERVED = frozenset(
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
        # What the webhook itself says, and vouches for with its signature.
        "content-encoding",
        "content-type",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    }
)
"""Names in lower case that nobody else may set."""


def refused_name(name: str) -> str:
    """Return why a header may not be called this, "" when it may. The text continues "the header's name …"."""
    if NAME.fullmatch(name) is None:
        return "is not a valid name of an HTTP header"
    if name.lower() in RESERVED:
        return f"{name} belongs to the connection or to the webhook itself; use another header"
    return ""


def refused_value(value: str) -> str:
    """Return why a header may not hold this, "" when it may. The text continues "the header's value …"."""
    if VALUE.fullmatch(value) is None:
        return "must be 1 to 4096 characters of Latin-1 without control characters"
    return ""


def refused_header(name: str, value: str) -> str:
    """Return why this header is not sent, "" when it is. Names the offending part as `name` or `value`."""
    if why := refused_name(name):
        return f"`name` {why}"
    if why := refused_value(value):
        return f"`value` {why}"
    return ""
