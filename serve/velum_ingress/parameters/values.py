"""How the text of a query parameter becomes a value: one small reader per type.

A reader gets the parameter's name and a text that is not empty, and returns the value or raises InvalidInput with that
name. Fractions are read as decimals, not floats: `0.29` is 29 percent, not 28.999999999999996.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Any

from velum.errors import InvalidInput

TRUE = frozenset({"true", "1", "yes", "on"})
FALSE = frozenset({"false", "0", "no", "off"})

NUMBER_LENGTH = 32
"""Characters of a number: enough for any sensible one, too few for `1e999999999` to become work."""

SHOWN = 40
"""Characters of a refused value that an error repeats."""


@dataclass(frozen=True)
class Reader:
    """Reads one type of value; `schema` is the same type as JSON Schema."""

    read: Callable[[str, str], Any]
    schema: dict[str, Any]

    def __call__(self, field: str, text: str) -> Any:
        """Return the value. Raises InvalidInput."""
        return self.read(field, text)


def shown(text: str) -> str:
    """Return a refused value as an error may repeat it: quoted, and not longer than a line."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def boolean(field: str, text: str) -> bool:
    """Return a boolean, in any case: official clients send Python's `True`."""
    word = text.strip().lower()
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise InvalidInput(field, f"must be true or false, got {shown(text)}")


def _decimal(field: str, text: str) -> Decimal:
    try:
        number = Decimal(text.strip()) if len(text) <= NUMBER_LENGTH else Decimal("NaN")
    except InvalidOperation:
        number = Decimal("NaN")
    # An exponent beyond this is no value of ours, and rounding it would be work.
    if not number.is_finite() or abs(number.adjusted()) > NUMBER_LENGTH:
        raise InvalidInput(field, f"must be a number, got {shown(text)}")
    return number


BOOLEAN = Reader(boolean, {"type": "boolean"})


def whole(low: int, high: int, *, odd: bool = False) -> Reader:
    """Return a reader of whole numbers in low..high; `90.0` is one too."""

    def read(field: str, text: str) -> int:
        number = _decimal(field, text)
        if number != number.to_integral_value():
            raise InvalidInput(field, f"must be a whole number, got {shown(text)}")
        if not low <= number <= high:
            raise InvalidInput(field, f"must be {low}..{high}, got {shown(text)}")
        if odd and number % 2 == 0:
            raise InvalidInput(field, f"must be odd, got {shown(text)}")
        return int(number)

    return Reader(read, {"type": "integer", "minimum": low, "maximum": high})


def fraction(high: int, *, up: bool) -> Reader:
    """Return a reader of numbers in 0..high that gives whole percent.

    What is finer than a percent is rounded to the side of privacy: thresholds down (more is found), sizes up.
    """

    def read(field: str, text: str) -> int:
        number = _decimal(field, text)
        if not 0 <= number <= high:
            raise InvalidInput(field, f"must be 0..{high}, got {shown(text)}")
        return int((number * 100).to_integral_value(ROUND_CEILING if up else ROUND_FLOOR))

    return Reader(read, {"type": "number", "minimum": 0, "maximum": high})


def word(*choices: str) -> Reader:
    """Return a reader of one of these words, in any case."""

    def read(field: str, text: str) -> str:
        found = text.strip().lower()
        if found not in choices:
            raise InvalidInput(field, f"must be one of {', '.join(choices)}, got {shown(text)}")
        return found

    return Reader(read, {"type": "string", "enum": list(choices)})


def text(length: int) -> Reader:
    """Return a reader of printable text up to a length."""

    def read(field: str, text: str) -> str:
        if len(text) > length:
            raise InvalidInput(field, f"must be at most {length} characters")
        if any(ord(sign) < 0x20 or ord(sign) == 0x7F for sign in text):
            raise InvalidInput(field, "must not hold control characters")
        return text

    return Reader(read, {"type": "string", "maxLength": length})


def url(length: int) -> Reader:
    """Return a reader of http(s) URLs up to a length; whether they may be called is checked elsewhere."""
    plain = text(length)

    def read(field: str, given: str) -> str:
        scheme, colon, rest = str(plain(field, given.strip())).partition("://")
        if not colon or scheme.lower() not in {"http", "https"}:
            raise InvalidInput(field, "must be a URL; only http and https are called")
        return f"{scheme.lower()}://{rest}"

    return Reader(read, {"type": "string", "format": "uri", "maxLength": length})
