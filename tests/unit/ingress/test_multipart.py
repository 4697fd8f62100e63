"""The form reader: the same events wherever the bytes are cut, and no form that is not whole."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from velum.errors import InvalidInput
from velum_ingress.multipart import (
    LARGEST_PREAMBLE,
    MOST_HEADERS,
    FormReader,
    PartBegin,
    PartData,
    PartEnd,
    boundary_of,
)

BOUNDARY = b"--XyZ-42"


def form(*parts: tuple[str, bytes], preamble: bytes = b"", epilogue: bytes = b"", boundary: bytes = BOUNDARY) -> bytes:
    body = preamble
    for headers, data in parts:
        body += b"--" + boundary + b"\r\n" + headers.encode() + b"\r\n\r\n" + data + b"\r\n"
    return body + b"--" + boundary + b"--\r\n" + epilogue


def disposition(name: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}'


def read(chunks: list[bytes], boundary: bytes = BOUNDARY) -> list[tuple[PartBegin, bytes]]:
    """Return the parts of a form that came in these chunks."""
    reader, parts, ended = FormReader(boundary), [], 0
    for chunk in chunks:
        for event in reader.feed(chunk):
            match event:
                case PartBegin():
                    parts.append((event, b""))
                case PartData(data):
                    parts[-1] = (parts[-1][0], parts[-1][1] + data)
                case PartEnd():
                    ended += 1
    reader.finish()
    assert ended == len(parts)
    return parts


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(place % (len(data) + 1) for place in at)})
    return [data[start:end] for start, end in pairwise(places)]


# Bytes that look like what ends a part: the hard case for every multipart parser.
TREACHEROUS = (
    st.lists(
        st.sampled_from(
            [b"\r", b"\n", b"-", b"--", b"\r\n", b"\r\n--", BOUNDARY, b"\r\n--" + BOUNDARY[:-1], b"x", b"\0"]
        )
        | st.binary(max_size=8),
        max_size=20,
    )
    .map(b"".join)
    .filter(lambda data: b"\r\n--" + BOUNDARY not in b"\r\n" + data)
)


@settings(max_examples=200)
@given(data=TREACHEROUS, at=st.lists(st.integers(0, 1000), max_size=12))
def test_cuts_change_nothing(data: bytes, at: list[int]) -> None:
    body = form((disposition("fileobject", '; filename="a.jpg"'), data))
    assert read(cut(body, at)) == [(PartBegin("fileobject", "a.jpg"), data)]


@given(data=TREACHEROUS)
def test_one_byte_at_a_time(data: bytes) -> None:
    body = form((disposition("a"), data), (disposition("b"), b"second"), preamble=b"hello\r\n", epilogue=b"bye")
    expected = [(PartBegin("a", None), data), (PartBegin("b", None), b"second")]
    assert read([body[index : index + 1] for index in range(len(body))]) == expected


@pytest.mark.parametrize(
    "preamble",
    [
        b"",
        b"\r\n",
        b"This is a multi-part message.\r\n",
        b"-\r\n--X\r\n",
        b"--" + BOUNDARY[:-1] + b"\r\n",
        b"x" * 5000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("epilogue", [b"", b"\r\n", b"--" + BOUNDARY + b"\r\nnot a part", b"x" * 70_000])
def test_what_is_around_the_form_is_left_out(preamble: bytes, epilogue: bytes) -> None:
    body = form((disposition("a"), b"data"), preamble=preamble, epilogue=epilogue)
    assert read([body]) == [(PartBegin("a", None), b"data")]


@given(cut_at=st.integers(1, 200), at=st.lists(st.integers(0, 1000), max_size=4))
def test_a_form_that_ends_early_is_never_whole(cut_at: int, at: list[int]) -> None:
    body = form((disposition("a"), b"some data"), boundary=b"b")
    whole = len(body) - len("\r\n")  # the last line end is not needed
    with pytest.raises(InvalidInput) as caught:
        read(cut(body[: whole - 1 - cut_at % (whole - 1)], at), b"b")
    assert caught.value.field == "fileobject"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("", None),
        ('; filename="street.jpg"', "street.jpg"),
        ("; filename=street.jpg", "street.jpg"),
        ('; filename="naïve ☂.jpg"', "naïve ☂.jpg"),
        ('; filename="a;b.jpg"', "a;b.jpg"),
        ("; filename*=utf-8''na%C3%AFve%20%E2%98%82.jpg", "naïve ☂.jpg"),
        ("; filename=plain.jpg; filename*=utf-8''other.jpg", "plain.jpg"),
        ('; filename=""', ""),
    ],
)
def test_file_names(more: str, expected: str | None) -> None:
    assert read([form((disposition("fileobject", more), b""))])[0][0] == PartBegin("fileobject", expected)


def test_a_files_headers_may_come_in_any_order_and_case() -> None:
    headers = 'content-type: image/jpg\r\nCONTENT-DISPOSITION:form-data; NAME="x"; name=fileobject\r\nX-Other: 1'
    assert read([form((headers, b"1"))]) == [(PartBegin("fileobject", None), b"1")]


@pytest.mark.parametrize(
    "body",
    [
        b"no boundary at all" * 10_000,
        b"--other\r\n" * 20_000,
        b"--" + BOUNDARY + b"garbage\r\n",
        form((disposition("a") + "\r\nX-Long: " + "x" * 10_000, b"")),
        form((disposition("a") + "".join(f"\r\nX-{index}: 1" for index in range(MOST_HEADERS + 1)), b"")),
        form((disposition("a") + "\r\nno colon here", b"")),
        form(("Content-Type: image/jpeg", b"nameless")),
        form(("Content-Disposition: form-data; filename=x", b"nameless")),
        form((disposition("a") + "\r\n: empty", b"")),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    for chunks in ([body], cut(body, list(range(0, len(body), 1000)))):
        with pytest.raises(InvalidInput) as caught:
            read(chunks)
        assert caught.value.field == "fileobject"


def test_an_endless_preamble_is_not_kept() -> None:
    reader, fed = FormReader(BOUNDARY), 0
    with pytest.raises(InvalidInput):
        while True:
            reader.feed(b"x" * 4096)
            fed += 4096
            assert fed <= LARGEST_PREAMBLE + 4096


@given(body=st.binary(max_size=300))
def test_any_bytes_are_a_form_or_refused(body: bytes) -> None:
    for start in (b"", b"--" + BOUNDARY + b"\r\n"):
        try:
            read([start + body])
        except InvalidInput as error:
            assert error.field == "fileobject"  # noqa: PT017 - other bytes are a form


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=utf-8; boundary="a b"', b"a b"),
        ("multipart/form-data; boundary=" + "x" * 70, b"x" * 70),
    ],
)
def test_boundaries(header: str, expected: bytes) -> None:
    assert boundary_of(header) == expected


@pytest.mark.parametrize(
    ("header", "field"),
    [
        (None, "fileobject"),
        ("image/jpeg", "fileobject"),
        ("multipart/mixed; boundary=abc", "fileobject"),
        ("multipart/form-data", "Content-Type"),
        ("multipart/form-data; boundary=", "Content-Type"),
        ("multipart/form-data; boundary=" + "x" * 71, "Content-Type"),
    ],
)
def test_bad_boundaries(header: str | None, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        boundary_of(header)
    assert caught.value.field == field
