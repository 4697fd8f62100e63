"""The image that ours are built on where no registry can be reached: a minimal Debian 12, as `debian:12-slim` is."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import mkdtemp

from localnode.builder import Builder, logged

BASE = "localhost/velum/base:bookworm"
SUITE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
UNNEEDED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/man", "usr/share/locale")
"""What debootstrap leaves and no image needs: 125 of 206 MB."""


def base(builder: Builder, environment: Mapping[str, str]) -> str:
    """Make the image if it is not there, and give its name. VELUM_DEBIAN_MIRROR: where packages come from."""
    if builder.exists(BASE):
        return BASE
    builder.say("making the base image with debootstrap: once, a minute or two")
    root = Path(mkdtemp(prefix="base-", dir=builder.folder))
    try:
        mirror = environment.get("VELUM_DEBIAN_MIRROR") or MIRROR
        argv = ["debootstrap", "--variant=minbase", SUITE, str(root), mirror]
        seconds = logged(argv, builder.folder / "base.log", builder.say)
        for folder in UNNEEDED:
            for each in (root / folder).iterdir():
                shutil.rmtree(each) if each.is_dir() and not each.is_symlink() else each.unlink()
        with builder.container("scratch") as container:
            builder.run("add", "--quiet", container, root, "/")
            builder.run("commit", "--quiet", container, BASE)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    builder.say(f"base image made in {seconds:.0f} s")
    return BASE
