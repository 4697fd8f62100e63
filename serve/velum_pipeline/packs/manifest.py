"""A model pack's manifest, ``pack.toml``: which weights, from where, under which licence, and how to run them.

A pack is data: adding a detector of a known family takes a manifest and its weights, no code. Weights are named by
sha256, so it does not matter where they come from; licences stand per component, because packs mix them.
docs/models.md shows a manifest with every key.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from velum_pipeline.detect.spec import ComponentSpec, Frozen
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs.errors import ManifestInvalid

MANIFEST = "pack.toml"
MAX_MANIFEST = 1 << 20
"""Bytes; a manifest is a page of text."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Text = Annotated[str, Field(min_length=1)]


class WheelMember(Frozen):
    """One file inside a wheel of the Python package index. The wheel is read, never installed nor run."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    member: Text


class WeightsFile(Frozen):
    """One file of weights: its name in the pack, its identity, and where it can be had.

    ``sources`` are https addresses, tried in order; ``wheel`` is an alternative to them. With neither, the file comes
    from a mirror or is put beside the manifest by hand.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(gt=0)]
    sources: tuple[str, ...] = ()
    wheel: WheelMember | None = None

    @field_validator("sources")
    @classmethod
    def _https(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            if urlsplit(source).scheme != "https" or not urlsplit(source).hostname:
                raise ValueError(f"{source!r} is not an https address")
        return sources


class PackManifest(Frozen):
    """One pack. Its classes are the union of its components'; a class may have several components, which are merged."""

    name: Name
    version: Text
    title: Text
    description: Text
    licence: Text
    files: Annotated[tuple[WeightsFile, ...], Field(min_length=1)]
    components: Annotated[tuple[ComponentSpec, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [file.name for file in self.files]
        for kind, values in (("file", names), ("component", [component.name for component in self.components])):
            if double := {value for value in values if values.count(value) > 1}:
                raise ValueError(f"{kind} {', '.join(sorted(double))} is listed twice")
        for component in self.components:
            if component.file not in names:
                raise ValueError(f"component {component.name} reads {component.file}, which is not among the files")
        if unused := set(names) - {component.file for component in self.components}:
            raise ValueError(f"no component reads {', '.join(sorted(unused))}")
        return self

    @property
    def classes(self) -> frozenset[ObjectClass]:
        """What the pack finds in every format."""
        return frozenset(name for component in self.components if component.always for name in component.classes)

    def file(self, name: str) -> WeightsFile:
        """The described file of that name. Raises KeyError."""
        return {file.name: file for file in self.files}[name]


def parse_manifest(text: str, source: str) -> PackManifest:
    """The manifest in a TOML text. Raises ManifestInvalid naming ``source`` and the field."""
    try:
        data: dict[str, Any] = tomllib.loads(text)
        return PackManifest.model_validate(data)
    except tomllib.TOMLDecodeError as error:
        raise ManifestInvalid(source, f"not TOML: {error}") from error
    except ValidationError as error:
        raise ManifestInvalid(
            source, "; ".join(_problem(item["loc"], item["msg"]) for item in error.errors())
        ) from error


def read_manifest(path: Path | Traversable) -> PackManifest:
    """The manifest in a file. Raises ManifestInvalid, also when the file cannot be read."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_MANIFEST + 1)
        if len(data) > MAX_MANIFEST:
            raise ManifestInvalid(str(path), f"larger than {MAX_MANIFEST} bytes")
        return parse_manifest(data.decode(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestInvalid(str(path), str(error)) from error


def _problem(location: Sequence[int | str], message: str) -> str:
    field = PurePosixPath(*map(str, location)).as_posix().replace("/", ".") if location else "manifest"
    return f"{field}: {message.removeprefix('Value error, ')}"
