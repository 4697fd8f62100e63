"""hack/bench detectors on networks made here: it runs those of the right decoders, at the sizes asked for."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.detectors import looked
from velum_pipeline.packs import PackRegistry

BENCH = Path(__file__).resolve().parents[3] / "hack" / "bench"
KINDS = {
    "dynamic": 'kind = "dynamic"\nmax_side = 640',
    "fixed": 'kind = "fixed"\nwidth = 64\nheight = 64\nfit = "letterbox"',
}


def network(width: int) -> bytes:
    """A convolution of this many channels; what comes out is never decoded. Another width is another file."""
    kernel = numpy_helper.from_array(np.full((width, 3, 3, 3), 0.01, np.float32), "kernel")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, width, "y", "x"])
    nodes = [helper.make_node("Conv", ["image", "kernel"], ["out"], pads=[1, 1, 1, 1])]
    graph = helper.make_graph(nodes, "made", [image], [out], [kernel])
    opset = helper.make_opsetid("", 13)
    return bytes(helper.make_model(graph, opset_imports=[opset], ir_version=8).SerializeToString())


def write(folder: Path, pack: str, *parts: tuple[str, str, str, int]) -> None:
    """A pack of components (decoder, class, kind of input, width of the network)."""
    folder.mkdir(parents=True)
    lines = [f'name = "{pack}"', 'version = "1"', 'title = "Made"', 'description = "Made."', 'licence = "none"']
    files = {f"{width}.onnx": network(width) for *_, width in parts}
    for name, weights in files.items():
        (folder / name).write_bytes(weights)
        digest = hashlib.sha256(weights).hexdigest()
        lines += ["[[files]]", f'name = "{name}"', f'sha256 = "{digest}"', f"size = {len(weights)}"]
    for index, (decoder, found, kind, width) in enumerate(parts):
        lines += ["[[components]]", f'name = "{decoder}-{index}"', f'file = "{width}.onnx"', 'licence = "none"']
        lines += [f'decoder = "{decoder}"', f"classes = {{ {found} = {{ threshold = 0.5 }} }}"]
        lines += ["[components.input]", 'colour = "rgb"', KINDS[kind]]
    (folder / "pack.toml").write_text("\n".join(lines))


@pytest.fixture
def packs(tmp_path: Path) -> Path:
    """The two packs that are compared, each of their networks a convolution; `street` reads one file twice."""
    write(tmp_path / "ours", "velum-street", ("street", "face", "dynamic", 4))
    write(
        tmp_path / "theirs",
        "street",
        ("yunet", "face", "dynamic", 1),
        ("yunet", "face", "dynamic", 1),
        ("yolov5face-plate", "license-plate", "fixed", 2),
        ("yolov5face-plate", "license-plate", "fixed", 3),
        ("picodet", "person", "dynamic", 5),
    )
    return tmp_path


def bench(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, str(BENCH), "detectors", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=os.environ | environment)


def test_each_network_is_counted_once_and_the_ratios_are_of_the_medians(packs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    sizes = ["--size", "96x64", "--size", "64x64"]
    done = bench("--packs", str(packs), *sizes, "--rounds", "2", "--json", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads(out.read_text())
    assert list(result) == ["96x64", "64x64"]
    for size, row in result.items():
        assert size in done.stdout
        rest = {name: value for name, value in row.items() if name.split("-")[0] in ("yunet", "yolov5face")}
        assert list(rest) == ["yunet-0_ms", "yolov5face-plate-2_ms", "yolov5face-plate-3_ms"]
        assert min(row.values()) > 0
        assert row["three_ms"] == pytest.approx(row["picodet_ms"] + sum(rest.values()), abs=0.001)
        assert row["looks_ratio"] == pytest.approx(row["velum_street_looks_ms"] / row["street_looks_ms"], rel=0.01)
        assert row["picodet_ratio"] == pytest.approx(row["velum_street_ms"] / row["picodet_ms"], rel=0.01)
        assert row["three_ratio"] == pytest.approx(row["velum_street_ms"] / row["three_ms"], rel=0.01)


def test_a_pack_is_measured_with_every_look_it_takes(packs: Path) -> None:
    registry = PackRegistry([packs])
    (own,) = looked(registry, "velum-street", (96, 64))
    assert own.size == (96, 64)
    theirs = looked(registry, "street", (96, 64))
    assert [(run.spec.decoder, run.size) for run in theirs] == [
        ("yunet", (96, 64)),
        ("yunet", (96, 64)),
        ("yolov5face-plate", (64, 64)),
        ("yolov5face-plate", (64, 64)),
        ("picodet", (96, 64)),
    ]
    assert len({run.key for run in theirs}) == 4, "the file that is read twice takes its time once"


def test_missing_weights_are_named_with_the_way_to_them(packs: Path, tmp_path: Path) -> None:
    (packs / "theirs" / "5.onnx").unlink()
    done = bench("--packs", str(packs), VELUM_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 2
    assert "5.onnx" in done.stderr
    assert done.stderr.count("\n") == 1
    lenient = bench("--packs", str(packs), "--if-there", VELUM_CACHE=str(tmp_path / "cache"))
    assert (lenient.returncode, lenient.stderr) == (0, done.stderr)


@pytest.mark.parametrize("rounds", ["0", "-1", "ten"])
def test_no_round_is_no_measurement(rounds: str) -> None:
    done = bench("--rounds", rounds)
    assert done.returncode == 2
    assert f"must be a whole number from 1, got '{rounds}'" in done.stderr


@pytest.mark.parametrize("size", ["640", "640x450", "0x64", "axb"])
def test_a_size_that_no_network_takes_is_refused(size: str) -> None:
    done = bench("--size", size)
    assert done.returncode == 2
    assert f"must be WIDTHxHEIGHT, multiples of 32, got '{size}'" in done.stderr
