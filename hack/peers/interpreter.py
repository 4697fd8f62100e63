"""Each peer runs in a virtual environment of its own, made on demand under `.cache/peers/`.

Never in the project's: peers pull packages that overwrite ours (deface brings `opencv-python` over our headless one).
What a peer needs stands in the file of its name beside this one; another text there makes another environment.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ENVIRONMENTS = ROOT / ".cache" / "peers"
READY = ".ready"
"""Written last, so that an interrupted installation is begun again."""


class PeerUnavailable(RuntimeError):
    """A peer's environment cannot be made; the text says why."""


def interpreter(peer: str) -> Path:
    """The Python of a peer's environment, which is made when it is not there. Raises PeerUnavailable."""
    wanted = HERE / f"{peer}.txt"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()[:8]
    folder = ENVIRONMENTS / f"{peer}-{digest}"
    python = folder / "bin" / "python"
    ENVIRONMENTS.mkdir(parents=True, exist_ok=True)
    with (ENVIRONMENTS / f"{peer}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two programs may ask at once
        if not (folder / READY).exists():
            print(f"installing the peer {peer} into {folder.relative_to(ROOT)} (once)", file=sys.stderr)
            shutil.rmtree(folder, ignore_errors=True)
            _run(peer, [sys.executable, "-m", "venv", str(folder)])
            _run(peer, [str(python), "-m", "pip", "install", "--quiet", "-r", str(wanted)])
            (folder / READY).touch()
    return python


def enter(peer: str) -> None:
    """Go on with a peer's interpreter. Returns at once when it runs this already; status 2 when there is none."""
    if Path(sys.prefix).parent == ENVIRONMENTS and Path(sys.prefix).name.startswith(f"{peer}-"):
        return
    try:
        python = interpreter(peer)
    except PeerUnavailable as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    os.execv(python, [str(python), *sys.argv])


def _run(peer: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise PeerUnavailable(f"the peer {peer} cannot be installed: {last}")
