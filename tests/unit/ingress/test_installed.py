"""The ingress starts with what its own extra installs."""

import subprocess
import sys

WITHOUT = ("onnx", "onnxruntime", "torch", "array_api_compat", "numba", "ray", "kopf", "typer")
"""What the extras of the replica, the operator and the command line bring."""


def test_the_ingress_imports_nothing_of_the_other_extras() -> None:
    blocked = f"import sys; sys.modules.update(dict.fromkeys({WITHOUT!r}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{blocked}; import velum_ingress.app"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
