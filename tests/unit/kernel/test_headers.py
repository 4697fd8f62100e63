"""Headers that a client may have added to its webhook's call."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from velum.net.headers import RESERVED, refused_header, refused_name, refused_value


@pytest.mark.parametrize("name", ["Authorization", "X-Api-Key", "x", "!#$%&'*+-.^_`|~", "a" * 256])
def test_names_that_may_be_set(name: str) -> None:
    assert refused_name(name) == ""


@pytest.mark.parametrize("name", [*sorted(RESERVED), "Host", "CONTENT-LENGTH", "Webhook-Signature"])
def test_names_that_are_taken(name: str) -> None:
    assert name in refused_name(name)


@pytest.mark.parametrize("name", ["", " ", "a b", "a:b", "ä", "x\r\n", "x\n", "X-A\0", "a" * 257, "(a)", "\u017fet"])
def test_names_that_are_none(name: str) -> None:
    assert "not a valid name" in refused_name(name)


@pytest.mark.parametrize("value", ["a", "Bearer abc", "\t", "\xff", "x" * 4096])
def test_values_that_may_be_sent(value: str) -> None:
    assert refused_value(value) == ""


@pytest.mark.parametrize("value", ["", "a\r\nX-Injected: 1", "a\n", "a\0b", "\x7f", "\x1b[0m", "Ā", "x" * 4097])
def test_values_that_may_not(value: str) -> None:
    assert refused_value(value)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_refusal_shows_the_value(name: str, value: str) -> None:
    said = refused_header(name, f"s3cr3t{value}")
    assert "s3cr3t" not in said.replace(name, "")


@given(st.text(max_size=20), st.text(max_size=20))
def test_what_is_sent_frames_nothing(name: str, value: str) -> None:
    """Whatever passes is one line of one header."""
    if refused_header(name, value) == "":
        assert f"{name}: {value}".encode("latin-1").splitlines() == [f"{name}: {value}".encode("latin-1")]
        assert ":" not in name


def test_the_offending_part_is_named() -> None:
    assert refused_header("Host", "x").startswith("`name` Host")
    assert refused_header("X-A", "").startswith("`value` ")
    assert refused_header("X-A", "b") == ""
