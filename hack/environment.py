"""Where the scripts of this folder run, and what they find there.

They can be run as they are: they go on in the project's own environment, made if need be.
"""

from __future__ import annotations  # a system's older Python gets as far as enter()

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def shared() -> Path | None:
    """Give the folder that holds `data`: VELUM_SHARED, else `shared` beside this checkout; None where there is none."""
    named = os.environ.get("VELUM_SHARED")
    folder = Path(named) if named else ROOT.parent / "shared"
    return folder if (folder / "data").is_dir() else None


def enter() -> None:
    """Go on with the interpreter of `.venv`. Returns at once when it runs this already."""
    environment = ROOT / ".venv"
    if Path(sys.prefix) == environment:
        return
    if not (environment / ".velum-dev").exists():
        subprocess.run([ROOT / "hack" / "bootstrap", "dev"], check=True, stdout=sys.stderr)
    python = environment / "bin" / "python"
    os.execv(python, [str(python), *sys.argv])
