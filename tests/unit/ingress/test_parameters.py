"""The table of parameters: every row, its bounds, and that whatever it lets through makes a valid spec."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.asking import asked, refused, spec
from velum.api.task import BoxedClass, PersonClass, PlateClass, ShapedClass, TaskSpec
from velum.api.v1 import parameters as echo
from velum.errors import InvalidInput
from velum.settings import ApiSettings
from velum_ingress.parameters import ROWS, Defaults, collect, parse
from velum_ingress.parameters.table import BY_NAME, CLASSES, HEADER_NAME, HEADER_VALUE
from velum_ingress.parameters.values import fraction, whole
from velum_pipeline import options as pipeline


def test_the_tables_defaults_are_the_resources() -> None:
    found = echo(asked(dict.fromkeys(CLASSES, "true")).spec("k", "f"))
    for row in ROWS:
        name = row.name.replace("-", "_")
        if row.name in CLASSES or row.default is None or row.name == "ignores":
            continue
        assert found[name] == row.default, row.name
    assert found["format"] == "whole"
    assert found["save_mask"] == "all"
    assert found["ignores"] == []


def test_every_parameter_of_the_contract_is_there() -> None:
    boxed = [
        f"{name}-{end}"
        for name in ("face", "license-plate")
        for end in ("threshold", "anonymization-gradient-start", "anonymization-gradient-stop")
    ]
    others = (
        "method bbox ignores format debug score quality compress-level lossless gps save-mask mask-scale "
        "person-threshold vehicle-threshold webhook web-auth-header-name web-auth-header-value watermark name model"
    )
    assert set(BY_NAME) == {*CLASSES, *boxed, *(f"kernel-size-{name}" for name in CLASSES), *others.split()}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_an_empty_value_means_the_default(row: Any) -> None:
    query = (
        {"face": "true", "person": "true", row.name: ""}
        if row.name not in CLASSES
        else {"license-plate": "1", row.name: ""}
    )
    if row.name == "license-plate":
        query = {"face": "true", "license-plate": " "}
    without = {name: value for name, value in query.items() if value.strip()}
    assert asked(query) == asked(without)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_underscores_are_dashes(row: Any) -> None:
    value = {"ignores": "[]", "format": "auto", "model": "m", "name": "n", "webhook": "http://x/"}.get(row.name)
    value = value or (row.reader.schema.get("enum") or ["1"])[0]
    beside = [("face", "1"), ("webhook", "http://x/")] if row.name != "webhook" else [("face", "1")]
    if row.name.startswith("web-auth"):
        beside += [(name, "1") for name in (HEADER_NAME, HEADER_VALUE) if name != row.name]
    if row.name.endswith("gradient-stop"):
        beside += [(row.name.replace("stop", "start"), "1")]
    spelt = [*beside, (row.name.replace("-", "_"), value)]
    assert asked(spelt) == asked([*beside, (row.name, value)])


@pytest.mark.parametrize("word", ["true", "True", "TRUE", "1", "yes", "Yes", "on", " true "])
def test_true_words(word: str) -> None:
    assert spec(debug=word).debug is True


@pytest.mark.parametrize("word", ["false", "False", "0", "no", "OFF"])
def test_false_words(word: str) -> None:
    assert spec(debug=word).debug is False


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", "smear"),
        ("debug", "2"),
        ("face-threshold", "1.01"),
        ("face-threshold", "-0.1"),
        ("face-threshold", "nan"),
        ("face-threshold", "inf"),
        ("face-threshold", "half"),
        ("face-threshold", "1e999999999"),
        ("face-threshold", "0." + "1" * 100),
        ("person-threshold", "40"),
        ("kernel-size-face", "-1"),
        ("kernel-size-face", "10.1"),
        ("kernel-size-person", "90"),
        ("kernel-size-person", "91.5"),
        ("kernel-size-vehicle", "0"),
        ("kernel-size-vehicle", "2049"),
        ("face-anonymization-gradient-start", "2.1"),
        ("quality", "101"),
        ("quality", "-1"),
        ("quality", "9.5"),
        ("compress-level", "10"),
        ("lossless", "mostly"),
        ("gps", "blur"),
        ("mask-scale", "0"),
        ("mask-scale", "101"),
        ("save-mask", "both"),
        ("name", "x" * 256),
        ("name", "a\nb"),
        ("model", "m" * 64),
        ("webhook", "http://x/" + "y" * 2048),
    ],
)
def test_out_of_range_is_refused_by_name(name: str, value: str) -> None:
    error = refused({"face": "true", name: value})
    assert error.field == name
    assert len(str(error)) < 200


def test_thresholds_round_down_and_sizes_up() -> None:
    found = spec(face_threshold="0.299", kernel_size_face="0.351").classes.face
    assert found is not None
    assert found.threshold_percent == 29
    assert found.kernel_percent == 36


@given(percent=st.integers(0, 100))
def test_two_decimals_are_exact(percent: int) -> None:
    text = str(Decimal(percent) / 100)
    assert fraction(1, up=False)("x", text) == fraction(1, up=True)("x", text) == percent


@given(value=st.floats(0, 1))
def test_a_threshold_never_grows_and_never_loses_a_percent(value: float) -> None:
    found = fraction(1, up=False)("x", f"{value:.12f}")
    assert found <= value * 100 + 1e-6
    assert value * 100 - found < 1 + 1e-6


@given(text=st.text(max_size=40))
def test_any_text_is_a_number_in_range_or_refused(text: str) -> None:
    for reader in (whole(0, 100), fraction(1, up=False)):
        try:
            found = reader("x", text)
        except InvalidInput as error:
            assert error.field == "x"  # noqa: PT017 - other texts are numbers
        else:
            assert 0 <= found <= 100


def test_quality_zero_is_the_default() -> None:
    assert spec(quality="0").quality == spec().quality == 90
    assert spec(quality="1").quality == 1


def test_a_gradient_that_begins_inside_its_end_is_refused() -> None:
    for name in ("face", "license-plate"):
        error = refused({name: "1", f"{name}-anonymization-gradient-stop": "0.5"})
        assert error.field == f"{name}-anonymization-gradient-start"
        asked({name: "1", f"{name}-anonymization-gradient-stop": "0.5", f"{name}-anonymization-gradient-start": "0.5"})


@pytest.mark.parametrize(
    ("text", "kept"),
    [("HTTPS://Example.org/A", "https://Example.org/A"), (" http://x/ ", "http://x/"), ("http://x", "http://x")],
)
def test_urls(text: str, kept: str) -> None:
    assert asked({"face": "1", "webhook": text}).webhook == kept


@pytest.mark.parametrize(
    "text", ["example.org", "ftp://x/", "javascript:alert(1)", "//x/", "http:/x", "http://x/\r\nA: b"]
)
def test_what_is_no_url(text: str) -> None:
    assert refused({"face": "1", "webhook": text}).field == "webhook"


def test_settings_of_a_class_that_is_not_asked_for_change_nothing() -> None:
    assert spec(person_threshold="0.9") == spec()


def test_classes_are_found_by_every_name() -> None:
    found = asked({"face": "1", "license_plate": "True", "person": "yes", "vehicle": "on"}).classes
    assert found.names() == CLASSES
    assert (found.face, found.license_plate) == (BoxedClass(), PlateClass())
    assert (found.person, found.vehicle) == (PersonClass(), ShapedClass())


def values(row: Any) -> st.SearchStrategy[str]:
    """Values of a parameter, good ones and bad ones."""
    schema = row.reader.schema
    good: st.SearchStrategy[str] = st.sampled_from([str(each) for each in schema.get("enum", ["true", "1", "7"])])
    if "maximum" in schema:
        good = st.decimals(schema["minimum"], schema["maximum"], places=3).map(str) | st.integers(
            schema["minimum"], schema["maximum"]
        ).map(str)
    return good | st.text(max_size=20)


@given(st.data())
def test_what_is_let_through_makes_a_valid_spec_for_the_pipeline_too(data: st.DataObject) -> None:
    rows = data.draw(
        st.lists(st.sampled_from([row for row in ROWS if row.name not in {HEADER_VALUE, "model"}]), max_size=6)
    )
    query = [("face", "true"), *((row.name, data.draw(values(row), label=row.name)) for row in rows)]
    try:
        found = asked(query).spec("key", "file")
    except InvalidInput as error:
        assert error.field.partition("[")[0].partition(".")[0] in BY_NAME  # noqa: PT017
        return
    for name, boxed in (("face", found.classes.face), ("license-plate", found.classes.license_plate)):
        if boxed is not None:
            pipeline.ClassOptions(
                boxed.threshold_percent / 100,
                boxed.kernel_percent / 100,
                boxed.gradient_start_percent / 100,
                boxed.gradient_stop_percent / 100,
            )
            assert name in found.classes.names()
    TaskSpec.model_validate(found.wire())


@pytest.mark.parametrize(
    ("given_", "close"),
    [
        ("fase", "face"),
        ("Face", "face"),
        ("licence-plate", "license-plate"),
        ("kernel_size_faces", "kernel-size-face"),
        ("web_auth_header_names", "web-auth-header-name"),
    ],
)
def test_an_unknown_name_is_answered_with_a_near_one(given_: str, close: str) -> None:
    error = refused({"face": "1", given_: "true"})
    assert error.field == given_
    assert f"did you mean {close!r}?" in str(error)


def test_an_unknown_name_without_a_near_one() -> None:
    assert "did you mean" not in str(refused({"face": "1", "zzz": "1"}))
    assert len(str(refused({"face": "1", "z" * 10_000: "1"}))) < 200


def test_the_same_value_twice_is_no_contradiction() -> None:
    assert asked([("face", "1"), ("face", "1")]) == asked({"face": "1"})


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("face", "true", "TRUE"),
        ("license-plate", "1", "yes"),
        ("quality", "80", "80.0"),
        ("method", "Blur", "blur"),
        ("ignores", "[]", " [ ]"),
        ("face-threshold", "0.5", "0.50"),
    ],
)
def test_two_spellings_of_one_value_are_no_contradiction(name: str, one: str, other: str) -> None:
    rest = [] if name == "face" else [("face", "1")]
    assert asked([*rest, (name, one), (name.replace("-", "_"), other)]) == asked([*rest, (name, one)])


@pytest.mark.parametrize(("one", "other"), [("true", "0"), ("true", "maybe"), ("maybe", "true")])
def test_two_values_of_one_name_are_refused(one: str, other: str) -> None:
    assert refused([("face", one), ("face", other)]).field == "face"


def test_an_unknown_name_is_refused_even_when_empty() -> None:
    with pytest.raises(InvalidInput):
        collect([("fac", "")], {"face": BY_NAME["face"].reader})


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"classes": ("faces",)}, "api.classes"),
        ({"default_classes": ("dog",)}, "api.default_classes"),
        ({"classes": ("face",), "default_classes": ("person",)}, "api.default_classes"),
        ({"format": "tiles"}, "api.format"),
        ({"save_mask": "some"}, "api.save_mask"),
    ],
)
def test_a_server_with_bad_defaults_does_not_start(settings: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Defaults.of(ApiSettings(**settings))
    assert caught.value.field == field


def test_the_servers_defaults_are_used_and_overridden() -> None:
    defaults = Defaults.of(ApiSettings(format="auto", save_mask="none", model="big", default_classes=("person",)))
    found = parse([], {}, defaults)
    assert (found.model, found.model_named) == ("big", False)
    assert found.spec("k", "f").tiling.mode == "auto"
    assert found.spec("k", "f").save_mask == "none"
    other = parse([("format", "whole"), ("save-mask", "all"), ("model", "small")], {}, defaults)
    assert other.spec("k", "f").tiling.mode == "whole"
    assert other.spec("k", "f").save_mask == "all"
    assert (other.model, other.model_named) == ("small", True)
