from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from velum_pipeline.detect import ClassNotFound, ModelInvalid, Runtime
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.packs import ManifestInvalid, PackNotFound, PackRegistry, WeightsCorrupt, WeightsMissing
from velum_pipeline.packs.weights import WeightsReader

PLATE = ObjectClass.LICENSE_PLATE
WANTED = Options(Method.DETECT, {PLATE: ClassOptions(0.5, 0.5)})
CPU = Runtime(threads=1)


def test_a_folders_pack_detects(tmp_path: Path, pack: Any) -> None:
    pack.write(tmp_path / "mine")
    detector = PackRegistry([tmp_path]).load(["test"], CPU)
    (found,) = detector.detect([np.zeros((128, 64, 3), np.uint8)], WANTED)
    np.testing.assert_allclose(found.boxes, [[24, 56, 40, 72]])
    assert detector.packs == ("test",)


def test_a_pack_named_twice_is_loaded_once(tmp_path: Path, pack: Any) -> None:
    pack.write(tmp_path)
    assert len(PackRegistry([tmp_path]).load(["test", "test"], CPU).components) == 1


def test_an_ensemble_of_packs_shares_equal_weights(tmp_path: Path, pack: Any) -> None:
    pack.write(tmp_path / "one", "one")
    pack.write(tmp_path / "two", "two")
    detector = PackRegistry([tmp_path]).load(["one", "two"], CPU)
    first, second = detector.components
    assert first._session is second._session
    assert len(detector.detect([np.zeros((64, 64, 3), np.uint8)], WANTED)[0]) == 1


def places(root: Path) -> list[Path]:
    """Where weights of the pack in a/pack are looked for, first to last."""
    a, b, cache = root / "a", root / "b", root / "cache"
    return [a / "folder", a / "test", a, b / "test", b, cache / "test", cache]


def test_the_order_of_the_search(tmp_path: Path, pack: Any) -> None:
    for place in places(tmp_path):
        place.mkdir(parents=True, exist_ok=True)
    pack.write(tmp_path / "a" / "folder", weights=False)
    registry = PackRegistry([tmp_path / "a", tmp_path / "b"], tmp_path / "cache")
    file = registry.get("test").files[0]
    for place in reversed(places(tmp_path)):
        (place / "plate.onnx").write_bytes(pack.weights)
        assert registry.locate("test", file) == place / "plate.onnx"


def test_missing_weights_name_the_file_the_folders_and_the_command(tmp_path: Path, pack: Any) -> None:
    for place in places(tmp_path):
        place.mkdir(parents=True, exist_ok=True)
    pack.write(tmp_path / "a" / "folder", weights=False, origin='sources = ["https://files.example.org/plate.onnx"]')
    registry = PackRegistry([tmp_path / "a", tmp_path / "b"], tmp_path / "cache")
    with pytest.raises(WeightsMissing) as caught:
        registry.load(["test"], CPU)
    message = str(caught.value)
    assert "plate.onnx" in message
    assert "`velum models fetch test`" in message
    assert "--mirror URL" in message
    assert all(str(place) in message for place in places(tmp_path))


def test_missing_weights_without_a_source_are_not_promised_by_fetch(tmp_path: Path, pack: Any) -> None:
    pack.write(tmp_path, weights=False)
    with pytest.raises(WeightsMissing, match="come with the pack: install or copy it again") as caught:
        PackRegistry([tmp_path]).load(["test"], CPU)
    assert "`velum models fetch test`" not in str(caught.value)
    assert "`velum models fetch test --mirror URL`" in str(caught.value)


def test_other_bytes_are_never_loaded(tmp_path: Path, pack: Any) -> None:
    folder = pack.write(tmp_path / "mine")
    changed = bytearray(pack.weights)
    changed[-1] ^= 1
    (folder / "plate.onnx").write_bytes(changed)
    registry = PackRegistry([tmp_path])
    with pytest.raises(WeightsCorrupt) as caught:
        registry.load(["test"], CPU)
    assert caught.value.expected == registry.get("test").files[0].sha256
    assert caught.value.actual in str(caught.value)
    assert caught.value.actual != caught.value.expected


@pytest.mark.parametrize(
    ("origin", "way"),
    [
        ("", "they come with the pack: install or copy it again"),
        ('sources = ["https://files.example.org/plate.onnx"]', "delete the file and fetch it again"),
    ],
)
def test_other_bytes_are_replaced_from_where_they_came(tmp_path: Path, pack: Any, origin: str, way: str) -> None:
    folder = pack.write(tmp_path / "mine", origin=origin)
    (folder / "plate.onnx").write_bytes(b"cut off")
    (status,) = (each for each in PackRegistry([tmp_path]).available() if each.manifest.name == "test")
    (problem,) = status.problems
    assert str(problem).endswith(f"; {way}")


def test_the_first_file_of_the_name_counts(tmp_path: Path, pack: Any) -> None:
    """A wrong file is not skipped in favour of a right one further down: somebody has to know about it."""
    folder = pack.write(tmp_path / "mine")
    (folder / "plate.onnx").write_bytes(b"wrong")
    (tmp_path / "plate.onnx").write_bytes(pack.weights)
    with pytest.raises(WeightsCorrupt):
        PackRegistry([tmp_path]).load(["test"], CPU)


def test_right_bytes_that_are_no_network(tmp_path: Path, pack: Any) -> None:
    folder = pack.write(tmp_path)
    import hashlib

    junk = b"junk"
    (folder / "plate.onnx").write_bytes(junk)
    (folder / "pack.toml").write_text(pack.text(sha256=hashlib.sha256(junk).hexdigest(), size=len(junk)))
    with pytest.raises(ModelInvalid, match="plate"):
        PackRegistry([tmp_path]).load(["test"], CPU)


def test_a_verification_is_remembered_until_the_file_changes(tmp_path: Path, pack: Any) -> None:
    pack.write(tmp_path)
    registry = PackRegistry([tmp_path])
    file = registry.get("test").files[0]
    reader, path = WeightsReader(), tmp_path / "plate.onnx"
    reader.verify(path, file)
    state = path.stat()
    path.write_bytes(bytes(len(pack.weights)))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    reader.verify(path, file)  # same size and time: taken as known, which is why loading hashes what it loads
    with pytest.raises(WeightsCorrupt):
        reader.read(path, file)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1))
    with pytest.raises(WeightsCorrupt):
        reader.verify(path, file)


def test_available_tells_what_is_lacking(tmp_path: Path, pack: Any) -> None:
    pack.write(tmp_path / "good", "good")
    pack.write(tmp_path / "poor", "poor", weights=False)
    status = {one.manifest.name: one for one in PackRegistry([tmp_path]).available()}
    assert sorted(status) == list(status) == ["centerface", "faces", "good", "poor", "street", "velum-street"]
    assert status["good"].ready
    assert status["good"].origin == str(tmp_path / "good")
    assert [type(problem) for problem in status["poor"].problems] == [WeightsMissing]
    assert "shipped" in status["street"].origin


@pytest.fixture
def shipping(tmp_path: Path, pack: Any, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of shipped packs: one whose weights come with it, and one whose weights are fetched."""
    folder = tmp_path / "shipped"
    pack.write(folder / "own", "own")
    pack.write(folder / "known", "known", origin='sources = ["https://files.example.org/plate.onnx"]')
    monkeypatch.setattr("velum_pipeline.packs.registry.SHIPPED_PACKS", folder)
    return folder


def test_weights_that_come_with_a_shipped_pack_are_there(shipping: Path, tmp_path: Path, pack: Any) -> None:
    cache = tmp_path / "cache"
    (cache / "own").mkdir(parents=True)
    (cache / "own" / "plate.onnx").write_bytes(b"what a former version fetched")
    registry = PackRegistry(cache=cache)
    assert registry.locate("own", registry.get("own").files[0]) == shipping / "own" / "plate.onnx"
    status = {one.manifest.name: one for one in registry.available()}
    assert status["own"].ready
    assert "shipped" in status["own"].origin
    (found,) = registry.load(["own"], CPU).detect([np.zeros((64, 64, 3), np.uint8)], WANTED)
    assert len(found) == 1


def test_weights_that_are_fetched_are_not_looked_for_where_velum_lies(shipping: Path, tmp_path: Path) -> None:
    registry = PackRegistry(cache=tmp_path / "cache")
    with pytest.raises(WeightsMissing) as caught:
        registry.locate("known", registry.get("known").files[0])
    assert caught.value.searched == (tmp_path / "cache" / "known", tmp_path / "cache")


def test_a_shipped_pack_that_lost_its_weights_says_so(shipping: Path) -> None:
    (shipping / "own" / "plate.onnx").unlink()
    with pytest.raises(WeightsMissing, match="come with the pack: install or copy it again"):
        PackRegistry().load(["own"], CPU)


def test_a_folder_replaces_a_shipped_pack_and_its_weights(shipping: Path, tmp_path: Path, pack: Any) -> None:
    mine = pack.write(tmp_path / "mine", "own")
    registry = PackRegistry([mine])
    assert registry.locate("own", registry.get("own").files[0]) == mine / "plate.onnx"


def test_a_folder_goes_before_what_is_shipped_and_before_later_folders(tmp_path: Path, pack: Any) -> None:
    pack.write(tmp_path / "one", "centerface")
    pack.write(tmp_path / "two", "centerface")
    registry = PackRegistry([tmp_path / "one", tmp_path / "two"])
    assert registry.classes(["centerface"]) == {PLATE}
    assert registry.locate("centerface", registry.get("centerface").files[0]).parent == tmp_path / "one"


def test_unknown_pack() -> None:
    with pytest.raises(PackNotFound, match=r"'nope'.*centerface, faces, street"):
        PackRegistry().get("nope")


def test_a_broken_manifest_is_not_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "pack.toml").write_text("name = 1")
    with pytest.raises(ManifestInvalid, match=r"bad/pack\.toml: name"):
        PackRegistry([tmp_path])


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(ManifestInvalid, match="not a folder"):
        PackRegistry([tmp_path / "absent"])


def test_a_class_that_no_pack_of_the_model_finds() -> None:
    registry = PackRegistry()
    registry.require(["centerface"], [ObjectClass.FACE])
    with pytest.raises(ClassNotFound) as caught:
        registry.require(["centerface"], [ObjectClass.FACE, PLATE, ObjectClass.VEHICLE])
    assert caught.value.missing == (PLATE, ObjectClass.VEHICLE)
    assert "in centerface" in str(caught.value)
    assert "use a model that includes the pack velum-street" in str(caught.value), "it ships"


def test_a_class_that_no_ready_pack_finds_names_the_command(tmp_path: Path, pack: Any) -> None:
    """A folder's pack stands in for the shipped one, and finds less."""
    pack.write(tmp_path, "velum-street")
    with pytest.raises(ClassNotFound, match="`velum models fetch street`"):
        PackRegistry([tmp_path]).require(["centerface"], [ObjectClass.VEHICLE])


def test_a_pack_that_is_there_need_not_be_fetched(tmp_path: Path, pack: Any) -> None:
    pack.write(tmp_path, "plates")
    with pytest.raises(ClassNotFound, match="use a model that includes the pack plates") as caught:
        PackRegistry([tmp_path]).require(["centerface"], [PLATE])
    assert "fetch" not in str(caught.value)
