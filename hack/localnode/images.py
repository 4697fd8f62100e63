"""The images of operator, ingress and worker, built here without a registry, as files that containerd imports.

Layers are kept between builds, packages below code: when only code changed, a build copies code. An image's file is
named by a hash of all that it is built from, so that nothing at all is done when nothing changed.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from localnode.builder import Builder, Say, pip_settings
from localnode.imagebase import base
from localplane.binaries import cache_root
from localplane.locks import locked

ROOT = Path(__file__).resolve().parents[2]
TAG = "dev"
"""Of all that is built here: `localhost/velum/operator:dev`, which no registry can be asked for by mistake."""


@dataclass(frozen=True)
class Image:
    """One image. dockerfile: from the repository's root. target: its stage there."""

    name: str
    dockerfile: str
    target: str
    tag: str = TAG

    @property
    def reference(self) -> str:
        """What it is called in a pod."""
        return f"localhost/velum/{self.name}:{self.tag}"

    def tagged(self, tag: str) -> "Image":
        """The same by another tag."""
        return replace(self, tag=tag)


IMAGES = (
    Image("operator", "operator/Dockerfile", "operator"),
    Image("ingress", "serve/Dockerfile", "ingress"),
    Image("worker", "serve/Dockerfile", "worker-cpu"),
)
ON_REQUEST = (Image("worker-cuda", "serve/Dockerfile", "worker-cuda"),)
"""What no cluster of this machine runs: 7 GB, for which a build wants 25 GB of room."""


def folder(environment: Mapping[str, str]) -> Path:
    """Where images, their layers and the builds' logs lie; `rm -r` gives all of it back."""
    return cache_root(environment) / "images"


def build(
    environment: Mapping[str, str], say: Say, images: Sequence[Image] = IMAGES, root: Path = ROOT
) -> dict[str, Path]:
    """Build what changed; the file of each image (OCI archive) by the image's name in a pod.

    Needs root, buildah and debootstrap; the first time Debian's and Python's packages are fetched, for several
    minutes. Raises ToolsMissing or BuildFailed.
    """
    place = folder(environment)
    archives = {image.reference: _archive(place, image, root) for image in images}
    if all(archive.exists() for archive in archives.values()):
        return archives
    builder = Builder(place, say)
    builder.check()
    with locked(place, lambda: say("another build of images is running: waiting for it")):
        for number, image in enumerate(images, start=1):
            archive = archives[image.reference] = _archive(place, image, root)  # minutes later it may be another
            if archive.exists():
                continue
            say(f"[{number}/{len(images)}] {image.reference}")
            seconds = _build(builder, image, archive, environment, root)
            say(f"[{number}/{len(images)}] {image.reference} built in {seconds:.0f} s")
    return archives


def unbuilt(environment: Mapping[str, str], images: Sequence[Image] = IMAGES, root: Path = ROOT) -> list[str]:
    """Names of the images that the cache lacks: minutes of building, each."""
    place = folder(environment)
    return [image.reference for image in images if not _archive(place, image, root).exists()]


def _archive(place: Path, image: Image, root: Path) -> Path:
    return place / f"{_stem(image)}.{key(image, root)}.tar"


def _stem(image: Image) -> str:
    """What the files of all builds of an image begin with, and of no other image."""
    return f"{image.name}.{image.tag}"


def key(image: Image, root: Path = ROOT) -> str:
    """A hash of the Dockerfile and of all files that it copies from the repository."""
    digest = hashlib.sha256(f"{image.target}\0".encode())
    for file in (root / ".dockerignore", root / image.dockerfile, *sources(image, root)):
        digest.update(f"\0{file.relative_to(root)}\0{file.stat().st_mode & 0o111:o}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def sources(image: Image, root: Path = ROOT) -> list[Path]:
    """The files that the Dockerfile copies from the repository, for any of its targets, without compiled ones."""
    files: set[Path] = set()
    for named in copied((root / image.dockerfile).read_text()):
        path = root / named
        files |= set(path.rglob("*")) if path.is_dir() else {path}
    return sorted(each for each in files if each.is_file() and "__pycache__" not in each.parts)


def copied(dockerfile: str) -> Iterator[str]:
    """The paths that COPY names, from the repository and not from another stage."""
    for line in re.findall(r"^COPY (.*)$", dockerfile, re.MULTILINE):
        words = [word for word in line.split() if not word.startswith("--")]
        if "--from=" not in line:
            yield from words[:-1]


def _build(builder: Builder, image: Image, archive: Path, environment: Mapping[str, str], root: Path) -> float:
    made_on = base(builder, environment)
    with pip_settings(environment) as flags, builder.nothing_left():
        seconds = builder.logged(
            image.name,
            *("build", "--layers", "--isolation=chroot", f"--build-arg=BASE={made_on}", *flags),
            *("--file", root / image.dockerfile, "--target", image.target, "--tag", image.reference, root),
        )
    older = sorted(archive.parent.glob(f"{_stem(image)}.*.tar*"), key=lambda each: each.stat().st_mtime)
    for each in older[:-1]:  # the last one may be being read
        each.unlink()
    unfinished = archive.with_suffix(".tar.part")
    # gzip would take longer than all the rest. Uncompressed, which would do here, buildah gives to directories only.
    fast = ("--compression-format=zstd", "--compression-level=1")
    push = ("push", *fast, image.reference, f"oci-archive:{unfinished}:{image.reference}")
    seconds += builder.logged(f"{image.name}-push", *push)
    unfinished.rename(archive)
    return seconds
