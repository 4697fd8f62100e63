"""The command line's own decisions: flags, folders, models of a machine, and pictures without a server."""

import errno
import socket
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from support.labelled import bright_network, drawn, write_pack
from velum.errors import InvalidInput
from velum.settings import ApiSettings
from velum_cli import listen
from velum_cli.flags import store_url
from velum_cli.folders import DataFolder, cache_folder
from velum_cli.main import app
from velum_cli.sample import sample_picture
from velum_cli.scenery import HEIGHT, WIDTH
from velum_cli.selfcheck import SelfCheckFailed, counted, judge

runner = CliRunner()


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
        [
            ("127.0.0.1", "http://127.0.0.1:"),
            ("0.0.0.0", "http://127.0.0.1:"),
            ("::1", "http://[::1]:"),
            ("::", "http://127.0.0.1:"),
        ],
    )
    def test_the_url_can_be_called(self, host: str, url: str) -> None:
        settings = ApiSettings(host=host, port=0)
        with listen.bind(settings) as listener:
            assert listen.base_url(settings, listener) == f"{url}{listener.getsockname()[1]}"

    def test_everywhere_is_ipv4_and_ipv6(self) -> None:
        with listen.bind(ApiSettings(host="::", port=0)) as listener:
            listener.listen()
            for address in ("127.0.0.1", "::1"):
                socket.create_connection((address, listener.getsockname()[1]), timeout=5).close()

    def test_everywhere_is_ipv4_where_there_is_no_ipv6(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A kernel without IPv6 cannot be had here: its answer is played."""
        made = listen._socket

        def without_ipv6(host: str, port: int) -> socket.socket:
            if ":" in host:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            return made(host, port)

        monkeypatch.setattr(listen, "_socket", without_ipv6)
        with listen.bind(ApiSettings(host="::", port=0)) as listener:
            assert listener.getsockname()[0] == "0.0.0.0"
        with pytest.raises(InvalidInput, match="cannot listen on ::1:0"):
            listen.bind(ApiSettings(host="::1", port=0))

    def test_tls_needs_both_and_files(self, tmp_path: Path) -> None:
        pem = tmp_path / "x.pem"
        pem.write_text("")
        with pytest.raises(InvalidInput, match="--tls-cert"):
            listen.check_tls(ApiSettings(tls_key=pem))
        with pytest.raises(InvalidInput, match=r"none\.pem is not a file"):
            listen.check_tls(ApiSettings(tls_key=pem, tls_cert=tmp_path / "none.pem"))
        listen.check_tls(ApiSettings(tls_key=pem, tls_cert=pem))


class TestSelfCheck:
    FOUND: ClassVar = {"detections": [{"bbox": [160, 240, 220, 310], "type_label": "face"}]}

    def test_an_unchanged_face_fails(self) -> None:
        with pytest.raises(SelfCheckFailed, match="found but not hidden"):
            judge(sample_picture(), sample_picture(), self.FOUND)

    def test_nothing_found_fails(self) -> None:
        with pytest.raises(SelfCheckFailed, match="nothing was found"):
            judge(sample_picture(), sample_picture(), {"detections": []})

    def test_a_vehicle_is_no_face(self) -> None:
        hidden = cv2.imencode(".png", np.zeros((HEIGHT, WIDTH, 3), np.uint8))[1].tobytes()
        vehicle = {"detections": [{"bbox": [800, 380, 920, 480], "type_label": "vehicle"}]}
        with pytest.raises(SelfCheckFailed, match=r"no face was found in the sample picture, .* but 1 vehicle"):
            judge(sample_picture(), hidden, vehicle, ("face", "vehicle"))
        assert judge(sample_picture(), hidden, vehicle, ("vehicle",)) == {"vehicle": 1}

    def test_garbage_fails(self) -> None:
        with pytest.raises(SelfCheckFailed, match="not a picture"):
            judge(sample_picture(), b"garbage", self.FOUND)

    def test_a_hidden_face_passes(self) -> None:
        picture = cv2.imdecode(np.frombuffer(sample_picture(), np.uint8), 1)
        picture[240:310, 160:220] = 0
        assert judge(sample_picture(), cv2.imencode(".png", picture)[1].tobytes(), self.FOUND) == {"face": 1}

    def test_what_was_hidden_is_told_by_class(self) -> None:
        assert counted({"face": 3, "license-plate": 1}) == "3 faces, 1 license-plate"


class TestAnonymize:
    def test_pictures_are_hidden_under_their_names(self, tmp_path: Path) -> None:
        source = tmp_path / "street.jpg"
        source.write_bytes(sample_picture())
        done = runner.invoke(app, ["anonymize", str(source), "--output", str(tmp_path / "out")])
        assert done.exit_code == 0, done.output
        for found in ("3 face", "1 license-plate", "3 person", "1 vehicle"):
            assert found in done.output, "all four classes, with nothing fetched and nothing asked for"
        assert source.read_bytes() == sample_picture()
        assert judge(sample_picture(), (tmp_path / "out/street.jpg").read_bytes(), TestSelfCheck.FOUND) == {"face": 1}

    def test_lossless_changes_no_pixel_away_from_the_faces(self, tmp_path: Path) -> None:
        source = tmp_path / "street.jpg"
        source.write_bytes(sample_picture())
        arguments = ["anonymize", str(source), "--output", str(tmp_path / "out"), "-a", "face", "--lossless"]
        done = runner.invoke(app, [*arguments, "--gps", "strip"])
        assert done.exit_code == 0, done.output
        coded = (tmp_path / "out/street.jpg").read_bytes()
        assert judge(sample_picture(), coded, TestSelfCheck.FOUND) == {"face": 1}
        before, after = (cv2.imdecode(np.frombuffer(each, np.uint8), 1)[400:] for each in (sample_picture(), coded))
        assert np.array_equal(before, after)

    def test_the_source_is_never_overwritten(self, tmp_path: Path) -> None:
        source = tmp_path / "street.jpg"
        source.write_bytes(sample_picture())
        done = runner.invoke(app, ["anonymize", str(source), "--output", str(tmp_path)])
        assert done.exit_code == 2
        assert source.read_bytes() == sample_picture()

    def test_a_file_is_no_folder_for_results(self, tmp_path: Path) -> None:
        source, taken = tmp_path / "street.jpg", tmp_path / "taken"
        source.write_bytes(sample_picture())
        taken.write_text("somebody's")
        done = runner.invoke(app, ["anonymize", str(source), "--output", str(taken)])
        assert done.exit_code == 2
        assert "--output" in done.output
        assert taken.read_text() == "somebody's"

    def test_a_result_that_cannot_be_written_is_told_and_leaves_nothing(self, tmp_path: Path) -> None:
        source, folder = tmp_path / "street.jpg", tmp_path / "out"
        source.write_bytes(sample_picture())
        (folder / source.name / "in the way").mkdir(parents=True)
        done = runner.invoke(app, ["anonymize", str(source), "--output", str(folder)])
        assert done.exit_code == 1
        assert f"its result cannot be written to {folder / source.name}" in done.output
        assert list(folder.iterdir()) == [folder / source.name]

    def test_packs_are_asked_together(self, tmp_path: Path) -> None:
        """A face that only one of two packs sees is hidden, and so is what only the other finds."""
        write_pack(tmp_path / "packs" / "bright", bright_network())
        source = tmp_path / "x.png"
        cv2.imwrite(str(source), drawn((4, 4)))
        for packs, said in (
            (["velum-street"], "nothing found"),
            (["bright"], "1 face"),
            (["velum-street", "bright"], "1 face"),
        ):
            flags = [part for name in packs for part in ("--pack", name)]
            folders = ["--packs", str(tmp_path / "packs"), "--output", str(tmp_path / "out")]
            done = runner.invoke(app, ["anonymize", str(source), *flags, *folders])
            assert done.exit_code == 0, done.output
            assert said in done.output, packs
        assert not np.array_equal(cv2.imread(str(tmp_path / "out" / "x.png")), cv2.imread(str(source)))

    def test_a_pack_that_is_none_is_named(self, tmp_path: Path) -> None:
        source = tmp_path / "x.jpg"
        source.write_bytes(sample_picture())
        done = runner.invoke(app, ["anonymize", str(source), "--pack", "zebra", "--output", str(tmp_path / "out")])
        assert done.exit_code == 1
        assert "'zebra'" in done.output
        assert "velum-street" in done.output

    def test_two_pictures_of_one_name_are_refused(self, tmp_path: Path) -> None:
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
    def test_a_wrong_value_is_refused_by_its_flag(self, tmp_path: Path, flag: str, value: str) -> None:
        source = tmp_path / "x.jpg"
        source.write_bytes(sample_picture())
        done = runner.invoke(app, ["anonymize", str(source), flag, value, "--output", str(tmp_path / "out")])
        assert done.exit_code == 2
        assert flag in done.output

    def test_tiles_may_be_asked_for(self, tmp_path: Path) -> None:
        source = tmp_path / "x.jpg"
        source.write_bytes(sample_picture())
        tiles = '{"number":[2,1],"overlap":[64,0]}'
        done = runner.invoke(
            app, ["anonymize", str(source), "--format", tiles, "-a", "face", "--output", str(tmp_path / "out")]
        )
        assert done.exit_code == 0, done.output
        assert "3 face" in done.output

    def test_one_bad_picture_does_not_stop_the_others(self, tmp_path: Path) -> None:
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
    for flag in (
        "--pack ",
        "-a",
        "--api-endpoint",
        "--input",
        "--output",
        "--format",
        "--save-mask",
        "--model",
        "--packs",
        "--video-codec",
        "--video-preset",
    ):
        assert flag in done.output
