"""Lets the scripts of this folder be run as they are: they go on in the project's own environment, made if need be."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def enter() -> None:
    """Go on with the interpreter of `.venv`. Returns at once when it runs this already."""
    environment = ROOT / ".venv"
    if Path(sys.prefix) == environment:
        return
    if not (environment / ".velum-dev").exists():
        subprocess.run([ROOT / "hack" / "bootstrap", "dev"], check=True, stdout=sys.stderr)
    python = environment / "bin" / "python"
    os.execv(python, [str(python), *sys.argv])
