"""Files that come in a Go module and are no program: a chart's manifests, a simulator's stages."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .errors import BuildFailed, ToolsMissing

_INSTALLED = "/usr/local/go/bin"  # where Go's own archive puts it, which not every PATH names
_DOWNLOAD_S = 240  # Kubernetes' module, the largest, is 100 MB


def fetched(module: str, environment: Mapping[str, str], folder: Path = Path("/")) -> Path:
    """Where Go keeps a module, fetched if need be; its bytes are checked by Go's checksum database or a go.sum.

    module: with its version (`…@v1.5.1`), or without one where the go.mod in `folder` pins it.

    Raises ToolsMissing without Go, BuildFailed when the module cannot be had.
    """
    go = shutil.which("go", path=f"{environment.get('PATH', '')}:{_INSTALLED}")
    if go is None:
        raise ToolsMissing(
            f"files of the Go module {module} are needed, and there is no `go` on the PATH. "
            "Install Go (https://go.dev/dl/)"
        )
    argv = [go, "mod", "download", "-json", module]
    env = {**environment, "GOWORK": "off"}
    try:
        done = subprocess.run(
            argv, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=_DOWNLOAD_S
        )
    except subprocess.TimeoutExpired as error:
        raise BuildFailed(f"{' '.join(argv)} did not end within {_DOWNLOAD_S} s") from error
    if done.returncode:
        raise BuildFailed(f"{' '.join(argv)} ended with status {done.returncode}:\n{done.stdout}{done.stderr}")
    return Path(json.loads(done.stdout)["Dir"])
