"""The command line's own decisions: flags, folders, models of a machine, and pictures without a server."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from velum.errors import InvalidInput
from velum.settings import ApiSettings
from velum_cli import listen
from velum_cli.flags import store_url
from velum_cli.folders import DataFolder, cache_folder
from velum_cli.main import app
from velum_cli.models import listing
from velum_cli.packs import local_models, ready_packs, require_classes
from velum_cli.sample import HEIGHT, WIDTH, sample_picture
from velum_cli.selfcheck import SelfCheckFailed, judge
from velum_pipeline.detect.errors import ClassNotFound
from velum_pipeline.packs.registry import PackRegistry

runner = CliRunner()


@pytest.fixture
def centerface() -> PackRegistry:
    """A registry whose built-in pack is ready; `make test` fetches it."""
    registry = PackRegistry((), cache_folder())
    if "centerface" not in ready_packs(registry):
        pytest.skip("the centerface pack is not in the cache: velum models fetch centerface")
    return registry


class TestFolders:
    def test_the_cache_is_where_the_variable_says(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("VELUM_CACHE", str(tmp_path))
        assert cache_folder() == tmp_path
        monkeypatch.delenv("VELUM_CACHE")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
        assert cache_folder() == tmp_path / "x" / "velum"

    def test_a_folder_is_held_by_one_and_free_afterwards(self, tmp_path: Path) -> None:
        folder = DataFolder(tmp_path / "data")
        second = DataFolder(folder.path)
        with folder.locked(), pytest.raises(InvalidInput, match="in use by another velum"), second.locked():
            pass
        with folder.locked():
            assert folder.database.parent == folder.path

    def test_a_folder_that_cannot_be_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(InvalidInput, match="--data"), DataFolder(tmp_path / "file" / "data").locked():
            pass

    @pytest.mark.parametrize("url", ["s3://bucket/x", "file:///data", None])
    def test_urls_stay(self, url: str | None) -> None:
        assert store_url(url) == url

    def test_folders_become_urls(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        assert store_url("my files") == (tmp_path / "my files").as_uri()


class TestListening:
    def test_a_taken_port_is_named(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(InvalidInput, match=f"127.0.0.1:{port}"):
                listen.bind(ApiSettings(port=port))

    @pytest.mark.parametrize(
        ("host", "url"),
        [("127.0.0.1", "http://127.0.0.1:"), ("0.0.0.0", "http://127.0.0.1:"), ("::1", "http://[::1]:")],
    )
    def test_the_url_can_be_called(self, host: str, url: str) -> None:
        settings = ApiSettings(host=host, port=0)
        with listen.bind(settings) as listener:
            assert listen.base_url(settings, listener) == f"{url}{listener.getsockname()[1]}"

    def test_tls_needs_both_and_files(self, tmp_path: Path) -> None:
        pem = tmp_path / "x.pem"
        pem.write_text("")
        with pytest.raises(InvalidInput, match="--tls-cert"):
            listen.check_tls(ApiSettings(tls_key=pem))
        with pytest.raises(InvalidInput, match=r"none\.pem is not a file"):
            listen.check_tls(ApiSettings(tls_key=pem, tls_cert=tmp_path / "none.pem"))
        listen.check_tls(ApiSettings(tls_key=pem, tls_cert=pem))


class TestModels:
    def test_default_is_all_packs_and_each_pack_is_a_model(self, centerface: PackRegistry) -> None:
        models = dict(local_models(centerface, ["centerface", "street"], cores=4))
        assert list(models) == ["default", "centerface", "street"]
        assert models["default"].packs == ("centerface", "street")
        assert models["default"].classes == ("face", "license-plate", "person", "vehicle")
        assert models["centerface"].classes == ("face",)
        assert models["default"].threads == 4
        assert models["default"].scale.min_replicas == 0, "an idle model gives its memory back"

    def test_a_faster_choice_of_the_same_network_is_a_model_and_no_part_of_default(self) -> None:
        models = dict(local_models(PackRegistry(), ["centerface", "faces", "street"], cores=4))
        assert models["default"].packs == ("centerface", "street")
        assert models["faces"].packs == ("faces",)
        assert dict(local_models(PackRegistry(), ["faces"], cores=4))["default"].packs == ("faces",)

    def test_a_class_that_nobody_finds_names_the_command(self, centerface: PackRegistry) -> None:
        require_classes(centerface, ["centerface"], ["face"])
        with pytest.raises(ClassNotFound, match="velum models fetch street"):
            require_classes(centerface, ["centerface"], ["face", "vehicle"])

    def test_the_list_says_what_is_missing_and_how_to_get_it(self, tmp_path: Path) -> None:
        table = listing(PackRegistry((), tmp_path)).splitlines()
        assert table[0].split()[:4] == ["PACK", "READY", "CLASSES", "LICENCE"]
        row = next(line for line in table if line.startswith("centerface"))
        assert " no " in row
        assert row.endswith("velum models fetch centerface")


class TestSample:
    def test_it_is_the_same_every_time(self) -> None:
        assert sample_picture() == sample_picture()

    def test_it_is_a_picture_of_the_size_it_says(self) -> None:
        assert cv2.imdecode(np.frombuffer(sample_picture(), np.uint8), 1).shape == (HEIGHT, WIDTH, 3)


class TestSelfCheck:
    FOUND: ClassVar = {"detections": [{"bbox": [160, 240, 220, 310], "type_label": "face"}]}

    def test_an_unchanged_face_fails(self) -> None:
        with pytest.raises(SelfCheckFailed, match="found but not hidden"):
            judge(sample_picture(), sample_picture(), self.FOUND)

    def test_nothing_found_fails(self) -> None:
        with pytest.raises(SelfCheckFailed, match="nothing was found"):
            judge(sample_picture(), sample_picture(), {"detections": []})

    def test_garbage_fails(self) -> None:
        with pytest.raises(SelfCheckFailed, match="not a picture"):
            judge(sample_picture(), b"garbage", self.FOUND)

    def test_a_hidden_face_passes(self) -> None:
        picture = cv2.imdecode(np.frombuffer(sample_picture(), np.uint8), 1)
        picture[240:310, 160:220] = 0
        assert judge(sample_picture(), cv2.imencode(".png", picture)[1].tobytes(), self.FOUND) == 1


class TestAnonymize:
    def test_pictures_are_hidden_under_their_names(self, centerface: PackRegistry, tmp_path: Path) -> None:
        source = tmp_path / "street.jpg"
        source.write_bytes(sample_picture())
        done = runner.invoke(app, ["anonymize", str(source), "--output", str(tmp_path / "out"), "-a", "face"])
        assert done.exit_code == 0, done.output
        assert "3 face" in done.output
        assert source.read_bytes() == sample_picture()
        assert judge(sample_picture(), (tmp_path / "out/street.jpg").read_bytes(), TestSelfCheck.FOUND) == 1

    def test_lossless_changes_no_pixel_away_from_the_faces(self, centerface: PackRegistry, tmp_path: Path) -> None:
        source = tmp_path / "street.jpg"
        source.write_bytes(sample_picture())
        arguments = ["anonymize", str(source), "--output", str(tmp_path / "out"), "-a", "face", "--lossless"]
        done = runner.invoke(app, [*arguments, "--gps", "strip"])
        assert done.exit_code == 0, done.output
        coded = (tmp_path / "out/street.jpg").read_bytes()
        assert judge(sample_picture(), coded, TestSelfCheck.FOUND) == 1
        before, after = (cv2.imdecode(np.frombuffer(each, np.uint8), 1)[400:] for each in (sample_picture(), coded))
        assert np.array_equal(before, after)

    def test_the_source_is_never_overwritten(self, centerface: PackRegistry, tmp_path: Path) -> None:
        source = tmp_path / "street.jpg"
        source.write_bytes(sample_picture())
        done = runner.invoke(app, ["anonymize", str(source), "--output", str(tmp_path)])
        assert done.exit_code == 2
        assert source.read_bytes() == sample_picture()

    def test_two_pictures_of_one_name_are_refused(self, centerface: PackRegistry, tmp_path: Path) -> None:
        for folder in ("a", "b"):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "x.jpg").write_bytes(sample_picture())
        pictures = [str(tmp_path / folder / "x.jpg") for folder in ("a", "b")]
        done = runner.invoke(app, ["anonymize", *pictures, "--output", str(tmp_path / "out")])
        assert done.exit_code == 2
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("flag", "value"), [("--method", "smear"), ("--method", "detect"), ("--gps", "round"), ("--format", "round")]
    )
    def test_a_wrong_value_is_refused_by_its_flag(
        self, centerface: PackRegistry, tmp_path: Path, flag: str, value: str
    ) -> None:
        source = tmp_path / "x.jpg"
        source.write_bytes(sample_picture())
        done = runner.invoke(app, ["anonymize", str(source), flag, value, "--output", str(tmp_path / "out")])
        assert done.exit_code == 2
        assert flag in done.output

    def test_tiles_may_be_asked_for(self, centerface: PackRegistry, tmp_path: Path) -> None:
        source = tmp_path / "x.jpg"
        source.write_bytes(sample_picture())
        tiles = '{"number":[2,1],"overlap":[64,0]}'
        done = runner.invoke(
            app, ["anonymize", str(source), "--format", tiles, "-a", "face", "--output", str(tmp_path / "out")]
        )
        assert done.exit_code == 0, done.output
        assert "3 face" in done.output

    def test_one_bad_picture_does_not_stop_the_others(self, centerface: PackRegistry, tmp_path: Path) -> None:
        (tmp_path / "good.jpg").write_bytes(sample_picture())
        (tmp_path / "bad.jpg").write_bytes(sample_picture()[:5000])
        pictures = [str(tmp_path / "bad.jpg"), str(tmp_path / "good.jpg")]
        done = runner.invoke(app, ["anonymize", *pictures, "--output", str(tmp_path / "out")])
        assert done.exit_code == 1
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.jpg"]


def test_help_of_every_command_names_its_flags() -> None:
    for command in ("up", "anonymize", "models", "operator", "ingress"):
        done = runner.invoke(app, [command, "--help"], env={"COLUMNS": "200"})
        assert done.exit_code == 0, command
    done = runner.invoke(app, ["up", "--help"], env={"COLUMNS": "200"})
    for flag in ("-a", "--api-endpoint", "--input", "--output", "--format", "--save-mask", "--model", "--packs"):
        assert flag in done.output


def test_models_list_starts_no_web_server(tmp_path: Path) -> None:
    """A second of imports for every `velum models list` would be felt."""
    program = (
        "import sys\nfrom velum_cli.main import app\n"
        "try: app(['models', 'list'])\nexcept SystemExit: pass\n"
        "print({'fastapi', 'kopf', 'ray', 'kubernetes'} & set(sys.modules), file=sys.stderr)"
    )
    env = {**os.environ, "VELUM_CACHE": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    assert done.stderr.strip() == "set()"
