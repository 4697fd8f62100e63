"""The command line of `hack/images`."""

import argparse
import os
import sys
import time

from localnode.builder import Builder
from localnode.images import IMAGES, ON_REQUEST, build, folder
from localnode.imagetrial import tried
from localplane.exits import EXIT_FAILED, EXIT_TOOLS_MISSING, ended

_ALL = (*IMAGES, *ON_REQUEST)
_BEGUN = time.monotonic()
_DESCRIPTION = (
    "The images of operator, ingress and worker, built on this machine without a registry, with buildah on a base that "
    "debootstrap makes. `hack/cluster` uses them; elsewhere build operator/Dockerfile and serve/Dockerfile as usual. "
    "The worker for GPUs is built when it is named (worker-cuda, 7 GB); its trial needs no GPU."
)
_ENVIRONMENT = (
    "VELUM_CACHE: where they are kept (~/.cache/velum). VELUM_DEBIAN_MIRROR: where Debian's packages come from. pip's "
    "settings of this machine (index, proxy, authorities) count while building and are in no image. "
    f"Exit status: {EXIT_FAILED} failed, 2 wrong usage, {EXIT_TOOLS_MISSING} a tool is missing."
)


def _say(line: str) -> None:
    print(f"{time.monotonic() - _BEGUN:6.1f} s  {line}", file=sys.stderr, flush=True)


def _build(arguments: argparse.Namespace) -> int:
    chosen = [image for image in _ALL if image.name in arguments.images] or list(IMAGES)
    archives = build(os.environ, _say, chosen)
    builder = Builder(folder(os.environ), _say)
    for reference, archive in archives.items():
        print(f"{reference}  {archive.stat().st_size / 1e6:.0f} MB  {archive}")
    if arguments.command == "try":
        for image in chosen:
            for said in tried(builder, image.name, image.reference):
                print(f"{image.name}: {said}")
    return 0


def main() -> int:
    """Run one command of the command line; the exit status."""
    top = argparse.ArgumentParser(prog="hack/images", description=_DESCRIPTION, epilog=_ENVIRONMENT)
    commands = top.add_subparsers(required=True, metavar="COMMAND", dest="command")
    for name, text in (
        ("build", "build what changed and print the files"),
        ("try", "the same, then run each image as its own user: the worker hides a sample picture"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        names = [image.name for image in _ALL]
        command.add_argument("images", nargs="*", choices=[[], *names], metavar="IMAGE", help=f"of {', '.join(names)}")
    arguments = top.parse_args()
    return ended("hack/images", lambda: _build(arguments), _say)
