"""The webhook's secret header: where it may stand, what it may be, and that no error tells it."""

import pytest

from support.asking import asked, refused
from velum.tasks.store import SecretHeader
from velum_ingress.parameters.table import HEADER_NAME, HEADER_VALUE

HOOK = {"face": "1", "webhook": "https://example.org/"}


def test_the_header_from_query_and_from_headers() -> None:
    expected = SecretHeader("X-Key", "geheim")
    both = {HEADER_NAME: "X-Key", HEADER_VALUE: "geheim"}
    assert asked({**HOOK, **both}).header == expected
    assert asked(HOOK, both).header == expected
    assert asked({**HOOK, HEADER_NAME: "X-Key"}, {HEADER_VALUE: "geheim"}).header == expected
    assert asked({**HOOK, **both}, both).header == expected
    assert asked({**HOOK, "web_auth_header_name": "X-Key", "web_auth_header_value": "geheim"}).header == expected
    assert asked(HOOK).header is None
    assert "geheim" not in repr(asked({**HOOK, **both}))


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("X-Key", "", HEADER_VALUE),
        ("", "geheim", HEADER_NAME),
        ("X Key", "geheim", HEADER_NAME),
        ("X-Key:", "geheim", HEADER_NAME),
        ("X-Key\r\nHost", "geheim", HEADER_NAME),
        ("Host", "geheim", HEADER_NAME),
        ("transfer-encoding", "geheim", HEADER_NAME),
        ("Connection", "geheim", HEADER_NAME),
        ("Content-Length", "geheim", HEADER_NAME),
        ("Webhook-Signature", "geheim", HEADER_NAME),
        ("X-Key", "geheim\r\nX-Other: 1", HEADER_VALUE),
        ("X-Key", "geheim\n", HEADER_VALUE),
        ("X-Key", "geheim\0", HEADER_VALUE),
        ("X-Key", "geheim☂", HEADER_VALUE),
        ("X-Key", "geheim" * 1000, HEADER_VALUE),
    ],
)
def test_headers_that_may_not_be_set(name: str, value: str, field: str) -> None:
    error = refused({**HOOK, HEADER_NAME: name, HEADER_VALUE: value})
    assert error.field == field
    assert "geheim" not in str(error)


def test_two_places_that_differ_are_refused_without_telling() -> None:
    error = refused({**HOOK, HEADER_NAME: "X", HEADER_VALUE: "geheim"}, {HEADER_VALUE: "anders"})
    assert error.field == HEADER_VALUE
    assert "geheim" not in str(error)
    assert "anders" not in str(error)
    twice = refused([*HOOK.items(), (HEADER_NAME, "X"), (HEADER_VALUE, "geheim"), (HEADER_VALUE, "anders")])
    assert "geheim" not in str(twice)


def test_a_header_without_a_webhook_is_refused() -> None:
    assert refused({"face": "1", HEADER_NAME: "X-Key", HEADER_VALUE: "v"}).field == HEADER_NAME
