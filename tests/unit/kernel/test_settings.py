"""Settings: precedence, and errors that name the field."""

import base64
from pathlib import Path

import pytest

from velum.errors import InvalidInput
from velum.settings import Settings

SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()


def test_an_unknown_setting_is_told_the_known_ones(tmp_path: Path) -> None:
    file = tmp_path / "velum.toml"
    file.write_text("[limit]\npixel = 5")
    with pytest.raises(InvalidInput, match=r"limit\.pixel: no such setting; there are upload_bytes, pixels"):
        Settings.load(file)


def test_an_endpoint_loses_its_slash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VELUM_API_ENDPOINT", "https://velum.example/base/")
    assert Settings.load().api.endpoint == "https://velum.example/base"


def test_defaults_need_nothing() -> None:
    settings = Settings.load()
    assert settings.api.port == 7000
    assert settings.webhook.allow_private is False


def test_flags_beat_environment_beat_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "velum.toml"
    file.write_text("[api]\nport = 1\nhost = '0.0.0.0'\nmodel = 'street'\n[limit]\npixels = 5\n")
    monkeypatch.setenv("VELUM_API_PORT", "2")
    monkeypatch.setenv("VELUM_API_HOST", "::1")
    settings = Settings.load(file, {"api": {"port": 3, "endpoint": None}})
    assert (settings.api.port, settings.api.host, settings.api.model) == (3, "::1", "street")
    assert settings.limit.pixels == 5


def test_the_contracts_variable_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VELUM_WEBHOOK_ALLOW_PRIVATE", "true")
    assert Settings.load().webhook.allow_private is True


def test_videos_have_settings_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    video = Settings.load().video
    assert (video.codec, video.preset, video.frame_pixels, video.frame_rate) == ("x264", "", 36_000_000, 1000)
    file = tmp_path / "velum.toml"
    file.write_text("[video]\ncodec = 'svtav1'\npreset = '8'\n")
    monkeypatch.setenv("VELUM_VIDEO_CODEC", "x265")
    video = Settings.load(file).video
    assert (video.codec, video.preset) == ("x265", "8"), "presets of SVT-AV1 are numbers"


def test_lists_are_written_with_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VELUM_API_CLASSES", "face, license-plate")
    monkeypatch.setenv("VELUM_SERVING_PACKS", "/packs,/more")
    settings = Settings.load()
    assert settings.api.classes == ("face", "license-plate")
    assert settings.serving.packs == (Path("/packs"), Path("/more"))


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[api]\nport = 'x'", "api.port"),
        ("[api]\nprot = 1", "api.prot"),
        ("[apis]\nport = 1", "apis"),
        ("[limit]\npixels = 0", "limit.pixels"),
        ("not toml", "config"),
        ("api = 1", "api"),
        ("[api]\nendpoint = 'notaurl'", "api.endpoint"),
        ("[webhook]\nsecret = 'bad'", "webhook.secret"),
        ("[video]\ncodec = 'wmv'", "video.codec"),
        ("[video]\npreset = '-y /etc'", "video.preset"),
        ("[video]\nframe_rate = 0", "video.frame_rate"),
        ("[video]\nframe_pixels = 0", "video.frame_pixels"),
        ("[webhook]\nsecret = 'whsec_c2hvcnQ='", "webhook.secret"),
    ],
)
def test_errors_name_the_field(tmp_path: Path, text: str, field: str) -> None:
    file = tmp_path / "velum.toml"
    file.write_text(text)
    with pytest.raises(InvalidInput) as caught:
        Settings.load(file)
    assert caught.value.field == field


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"none\.toml"):
        Settings.load(tmp_path / "none.toml")


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VELUM_WEBHOOK_SECRET", SECRET)
    settings = Settings.load()
    assert SECRET not in repr(settings)
    assert settings.webhook.secret is not None
    assert settings.webhook.secret.get_secret_value() == SECRET
