"""Torch programs: the same answers as the same weights in ONNX Runtime, and clear refusals."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from support import prototypenet
from velum_pipeline.detect import Component, ComponentSpec, DetectionFailed, Detector, ModelInvalid, Runtime
from velum_pipeline.detect.archive import OPERATORS, is_arithmetic
from velum_pipeline.detect.arrays import host_floats
from velum_pipeline.detect.session import Session
from velum_pipeline.detect.torchsession import TorchSession
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options

CPU = Runtime(threads=1)
PLATE = ObjectClass.LICENSE_PLATE


@pytest.fixture(scope="module")
def program() -> bytes:
    return prototypenet.torch_program("yolov8")


def load(model: bytes, *, batch: bool = True, size: bool = True, runtime: Runtime = CPU) -> TorchSession:
    return TorchSession("net", model, runtime, free_batch=batch, free_size=size)


def exported(forward: Callable[[Any], Any], shape: tuple[int, ...] = (1, 3, 32, 32)) -> bytes:
    class Network(torch.nn.Module):
        def forward(self, picture: Any) -> Any:
            return forward(picture)

    buffer = io.BytesIO()
    torch.export.save(torch.export.export(Network(), (torch.zeros(shape),)), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(64, 96), (32, 32), (128, 64)])
def test_the_same_weights_give_the_same_outputs(program: bytes, size: tuple[int, int]) -> None:
    pictures = np.random.default_rng(0).random((3, 3, *size), np.float32)
    answers = load(program).run(pictures)
    expected = Session("net", prototypenet.onnx_model("yolov8"), CPU, free_batch=True, free_size=True).run(pictures)
    for answer, right in zip(answers.values(), expected.values(), strict=True):
        assert isinstance(answer, torch.Tensor)
        np.testing.assert_allclose(host_floats(answer), right, atol=1e-5)


def test_outputs_may_be_one_tensor_or_have_names() -> None:
    pictures = np.ones((1, 3, 32, 32), np.float32)
    (one,) = load(exported(lambda x: x.mean(1)), batch=False, size=False).run(pictures).values()
    assert one.shape == (1, 32, 32)
    named = load(exported(lambda x: {"cls_8": x + 1, "obj_8": x.half()}), batch=False, size=False).run(pictures)
    assert list(named) == ["cls_8", "obj_8"]
    assert named["obj_8"].dtype == torch.float32


def test_a_graph_may_make_tensors_of_its_own() -> None:
    """Grids of anchors are made like this; they have to be where the weights are."""
    model = exported(lambda x: x[:, 0, 0] + torch.arange(32, device=x.device))
    (answer,) = load(model, batch=False, size=False).run(np.ones((1, 3, 32, 32), np.float32)).values()
    np.testing.assert_array_equal(host_floats(answer), [np.arange(1, 33)])


def test_any_decoder_reads_a_program() -> None:
    plate = torch.tensor([32, 32, 16, 8, 1, 24, 28, 40, 28, 40, 36, 24, 36, 0.9, 0])
    spec = {
        "name": "plate",
        "file": "plate.pt2",
        "licence": "none",
        "decoder": "yolov5face-plate",
        "classes": {"license-plate": {"threshold": 0.5}},
        "input": {"kind": "fixed", "width": 64, "height": 64, "fit": "stretch", "colour": "bgr"},
    }
    model = exported(lambda x: plate + 0 * x[:, 0, :1, :1], (1, 3, 64, 64))
    detector = Detector([Component.load(ComponentSpec.model_validate(spec), model, CPU)])
    wish = Options(Method.DETECT, {PLATE: ClassOptions(0.5, 0.5)})
    (found,) = detector.detect([np.zeros((128, 64, 3), np.uint8)], wish)
    np.testing.assert_allclose(found.boxes, [[24, 56, 40, 72]])
    np.testing.assert_allclose(found.corners, [[[24, 56], [40, 56], [40, 72], [24, 72]]])


def test_threads_share_a_program(program: bytes) -> None:
    session = load(program)
    pictures = np.random.default_rng(3).random((8, 1, 3, 64, 64), np.float32)
    alone = [host_floats(next(iter(session.run(picture).values()))) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda one: host_floats(next(iter(session.run(one).values()))), pictures))
    np.testing.assert_array_equal(alone, together)


def test_fixed_sizes_are_known_before_the_first_picture() -> None:
    fixed = prototypenet.torch_program("yolov8", fixed=(64, 64))
    with pytest.raises(ModelInvalid, match="exported with fixed batch, height, width; export it with dynamic_shapes"):
        load(fixed)
    session = load(fixed, batch=False, size=False)
    assert not session.batches
    with pytest.raises(DetectionFailed, match="net: the network did not run"):
        session.run(np.zeros((1, 3, 96, 64), np.float32))


def test_a_program_of_other_inputs_is_refused() -> None:
    with pytest.raises(ModelInvalid, match=r"one input of shape \(batch, 3, height, width\)"):
        load(exported(lambda x: x + 1, (1, 4, 32, 32)), batch=False, size=False)


def test_an_output_without_a_number_is_a_failure() -> None:
    session = load(exported(lambda x: (x + 1, x.mean((1, 2, 3), keepdim=True) / 0)), batch=False, size=False)
    with pytest.raises(DetectionFailed, match="holds no finite number"):
        session.run(np.zeros((1, 3, 32, 32), np.float32))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_an_absent_device_is_no_silent_cpu(program: bytes) -> None:
    with pytest.raises(ModelInvalid, match="no CUDA device"):
        load(program, runtime=Runtime(provider="cuda"))


@pytest.mark.parametrize("model", [b"", b"not a zip", zipfile.ZipFile.__doc__.encode()])
def test_no_program(model: bytes) -> None:
    with pytest.raises(ModelInvalid, match="net: not a torch program"):
        load(model)


def test_an_archive_that_is_no_program() -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/models/model.json", "{}")
    with pytest.raises(ModelInvalid, match="net: not a torch program that can be used"):
        load(buffer.getvalue())


def test_without_torch_the_way_to_it_is_named(program: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelInvalid, match=r"net: its weights need torch; `pip install velum\[torch\]`"):
        load(program)


WITHOUT_TORCH = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())

import numpy as np
from pathlib import Path
from support import prototypenet
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options
from velum_pipeline.packs import PackRegistry

pixels = np.zeros((128, 256, 3), np.uint8)
prototypenet.draw(pixels, 15, 8, 96, 44)
detector = PackRegistry([Path(sys.argv[1])]).load(["discs"])
wish = Options(Method.DETECT, {ObjectClass.PERSON: ClassOptions.default(ObjectClass.PERSON)})
(found,) = detector.detect([pixels], wish)
assert found.masks[0].bits.any()
"""


def test_masks_need_no_torch(tmp_path: Path) -> None:
    prototypenet.write_pack(tmp_path / "discs", prototypenet.onnx_model())
    tests = Path(prototypenet.__file__).parents[1]
    subprocess.run([sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)], check=True, cwd=tests)


def test_nothing_imports_torch_until_a_pack_needs_it() -> None:
    """A laptop that runs ONNX packs has no torch; one that has it should not wait for it."""
    code = (
        "import sys; sys.modules['torch'] = None; import velum_pipeline.packs, velum_pipeline.pipeline, velum_cli.main"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def changed(program: bytes, change: Callable[[str, bytes], bytes]) -> bytes:
    """The archive with each member's bytes as ``change(name, bytes)`` gives them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(program)) as old, zipfile.ZipFile(buffer, "w") as new:
        for member in old.infolist():
            new.writestr(member.filename, change(member.filename, old.read(member)))
    return buffer.getvalue()


def test_a_changed_archive_still_loads(program: bytes) -> None:
    """What the next tests do to it is what is refused, not that it was written anew."""
    load(changed(program, lambda _, data: data))


def test_a_program_needs_no_sample_inputs() -> None:
    """Left out, they make a program smaller; torch then writes a member of no bytes."""
    program = torch.export.export(torch.nn.Conv2d(3, 2, 1), (torch.zeros(1, 3, 32, 32),))
    program.example_inputs = None
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    (output,) = load(buffer.getvalue(), batch=False, size=False).run(np.zeros((1, 3, 32, 32), np.float32)).values()
    assert output.shape == (1, 2, 32, 32)


def edited(name: str, edit: Callable[[Any], None]) -> Callable[[str, bytes], bytes]:
    def change(member: str, data: bytes) -> bytes:
        if not member.endswith(name):
            return data
        document = json.loads(data)
        edit(document)
        return json.dumps(document).encode()

    return change


def first_node(document: Any) -> Any:
    return document["graph_module"]["graph"]["nodes"][0]


def pickled_weight(document: Any) -> None:
    next(iter(document["config"].values()))["use_pickle"] = True


def opaque_constant(document: Any) -> None:
    document["config"]["evil"] = {"path_name": "opaque_obj_0", "use_pickle": False}


def foreign_call(document: Any) -> None:
    first_node(document)["target"] = "torch.hub.load"


def evaluated_size(document: Any) -> None:
    first_node(document)["inputs"][0]["arg"] = {"as_sym_int": {"as_expr": {"expr_str": "eval('1')"}}}


def executed_guard(document: Any) -> None:
    document["guards_code"].append("__import__('os').system('true')")


def foreign_argument(document: Any) -> None:
    first_node(document)["inputs"][0]["arg"] = {"as_operator": "torch.hub.load"}


def code_for_a_name(document: Any) -> None:
    document["graph_module"]["signature"]["user_outputs"] = [{"name": "x)\n    import os"}]


@pytest.mark.parametrize(
    ("member", "edit", "problem"),
    [
        ("weights_config.json", pickled_weight, "a part is pickled"),
        ("constants_config.json", opaque_constant, "opaque_obj_0 is an object"),
        ("model.json", foreign_call, r"the graph calls torch\.hub\.load"),
        ("model.json", evaluated_size, 'an expression is "eval'),
        ("model.json", executed_guard, "an expression is .__import__"),
        ("model.json", foreign_argument, r"the graph calls torch\.hub\.load"),
        ("model.json", code_for_a_name, r"name is 'x\)"),
    ],
)
def test_doors_to_foreign_code_are_shut(program: bytes, member: str, edit: Callable[[Any], None], problem: str) -> None:
    with pytest.raises(ModelInvalid, match=f"net: the torch program is refused: .*{member}: {problem}"):
        load(changed(program, edited(member, edit)))


@pytest.mark.parametrize("member", ["data/sample_inputs/model.pt", "data/weights/model.pt"])
def test_a_pickle_is_never_run(program: bytes, member: str, tmp_path: Path) -> None:
    """In place of the sample inputs, and as weights in the old form, which torch prefers to the new one."""
    sprung = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(sprung),)

    trap = io.BytesIO()
    torch.save(Trap(), trap)
    with_trap = io.BytesIO(changed(program, lambda name, data: trap.getvalue() if name.endswith(member) else data))
    with zipfile.ZipFile(with_trap, "a") as archive:
        if not any(name.endswith(member) for name in archive.namelist()):
            archive.writestr(f"archive/{member}", trap.getvalue())
    with pytest.raises(ModelInvalid, match=f"{member} holds pickled objects"):
        load(with_trap.getvalue())
    assert not sprung.exists()
    with suppress(Exception):  # whatever torch makes of it afterwards, the trap is real
        torch.export.load(io.BytesIO(with_trap.getvalue()))
    assert sprung.is_dir()


@pytest.mark.parametrize(
    ("expression", "plain"),
    [
        ("s77", True),
        ("Mul(Integer(8), Symbol('s18', positive=True, integer=True))", True),
        ("32*s0 - (s1//2)", True),
        ("Max(1, FloorDiv(s0, 2))", True),
        ("L['x'].size()[2] >= 4", True),
        ("(torch.sym_max(1, L['x'].size()[3] // 4)*(L['x'].size()[2] // 4)) != 1", True),
        ("eval('1')", False),
        ("exec(s0)", False),
        ("s0.__class__", False),
        ("L['x'].__class__", False),
        ("torch.load('x')", False),
        ("torch.hub", False),
        ("Symbol('a b')", False),
        ("Symbol('s0', cls=s0)", False),
        ("[s0]", False),
        ("[s0 for s0 in (1, 2)]", False),
        ("lambda: s0", False),
        ("(s0 := 1)", False),
        ("f'{s0}'", False),
        ("__import__('os')", False),
        ("s0; s1", False),
        ("s0\nimport os", False),
        ("(" * 5000, False),
        ("1\0", False),
    ],
)
def test_which_expressions_are_arithmetic(expression: str, plain: bool) -> None:
    assert is_arithmetic(expression) == plain


@pytest.mark.parametrize(
    ("target", "operator"),
    [
        ("torch.ops.aten.conv2d.default", True),
        ("torch.ops.torchvision.nms.default", True),
        ("_operator.getitem", True),
        ("torch.sym_max", True),
        ("torch.hub.load", False),
        ("torch.ops.aten.conv2d.default; x", False),
        ("torch.ops.aten.from_file.default", False),
        ("torch.ops.higher_order.triton_kernel_wrapper_mutation", False),
        ("_operator.call", False),
        ("_operator.attrgetter", False),
        ("torch.ops.mine.run", False),
        ("os.system", False),
        ("builtins.eval", False),
    ],
)
def test_what_a_graph_may_call(target: str, operator: bool) -> None:
    assert bool(OPERATORS.fullmatch(target)) == operator
