"""multipart/form-data as it streams by: bytes in, events out, nothing kept.

python-multipart's low-level parser does the splitting. Around it: a preamble before the first boundary (RFC 2046 allows
one, the parser does not), the part's name and file name, and the demand that the form ends with its closing boundary,
without which a lost connection would pass for a whole file.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from velum.errors import InvalidInput

PART = "fileobject"
"""The contract's name of the part that holds the file."""

MOST_HEADERS = 16
LARGEST_HEADER = 8192
"""Headers of one part and bytes of one header: form-data has three short ones."""

LARGEST_PREAMBLE = 65_536

LONGEST_BOUNDARY = 70
"""RFC 2046, 5.1.1."""

EXTENDED_NAME = re.compile(r"filename\*\s*=\s*(?:utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE)
"""RFC 7578 forbids this form, and urllib3 1.x sends it for names beyond ASCII."""


@dataclass(frozen=True)
class PartBegin:
    """A part begins; `name` is its field name, `filename` the client's name of the file, if there is one."""

    name: str
    filename: str | None


@dataclass(frozen=True)
class PartData:
    """Bytes of the present part."""

    data: bytes


@dataclass(frozen=True)
class PartEnd:
    """The present part is complete."""


Event = PartBegin | PartData | PartEnd


def boundary_of(content_type: str | None) -> bytes:
    """Return the boundary that a Content-Type header names. Raises InvalidInput when it is no form."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data":
        raise InvalidInput(PART, "is missing; send the file as a part of that name in multipart/form-data")
    if not 1 <= len(boundary) <= LONGEST_BOUNDARY:
        raise InvalidInput(
            "Content-Type", f"multipart/form-data needs a boundary of 1 to {LONGEST_BOUNDARY} characters"
        )
    return boundary


class FormReader:
    """Turns the chunks of one form into events, wherever the chunks are cut."""

    def __init__(self, boundary: bytes) -> None:
        self._opening = b"--" + boundary
        self._preamble: bytearray | None = bytearray()
        self._events: list[Event] = []
        self._headers: dict[str, str] = {}
        self._header = [bytearray(), bytearray()]
        self._ended = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._headers.clear,
                "on_part_data": self._data,
                "on_part_end": lambda: self._events.append(PartEnd()),
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._header_end,
                "on_headers_finished": self._begin,
                "on_end": self._end,
            },
            max_header_count=MOST_HEADERS,
            max_header_size=LARGEST_HEADER,
        )

    def feed(self, chunk: bytes) -> list[Event]:
        """Return the events that these bytes complete. Raises InvalidInput when they are no form."""
        if self._preamble is not None:
            chunk = self._past_preamble(self._preamble, chunk)
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidInput(PART, f"the form cannot be read: {error}") from error
        events, self._events = self._events, []
        return events

    def finish(self) -> None:
        """Check that the form is complete. Raises InvalidInput when its closing boundary never came."""
        if not self._ended:
            raise InvalidInput(PART, "the form ends before its closing boundary; the upload is incomplete")

    def _past_preamble(self, seen: bytearray, chunk: bytes) -> bytes:
        """Return what follows the preamble, nothing as long as the first boundary has not come."""
        before = max(0, len(seen) - len(self._opening) - 2)
        seen += chunk
        at = 0 if seen.startswith(self._opening) else seen.find(b"\r\n" + self._opening, before)
        if at < 0:
            if len(seen) > LARGEST_PREAMBLE:
                raise InvalidInput(PART, "the form does not begin with its boundary")
            return b""
        self._preamble = None
        return bytes(seen[at:]).lstrip(b"\r\n")

    def _header_end(self) -> None:
        name, value = (bytes(each).decode("latin-1") for each in self._header)
        self._headers[name.strip().lower()] = value
        self._header = [bytearray(), bytearray()]

    def _begin(self) -> None:
        disposition = self._headers.get("content-disposition", "")
        _, options = parse_options_header(disposition)
        name = options.get(b"name")
        if name is None:
            raise InvalidInput(PART, "a part of the form has no name")
        self._events.append(PartBegin(name.decode("utf-8", "replace"), _filename(options, disposition)))

    def _data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(PartData(data[start:end]))

    def _end(self) -> None:
        self._ended = True


def _filename(options: dict[bytes, bytes], disposition: str) -> str | None:
    if b"filename" in options:
        return options[b"filename"].decode("utf-8", "replace")
    extended = EXTENDED_NAME.search(disposition)
    return unquote_to_bytes(extended.group(1)).decode("utf-8", "replace") if extended else None
