"""Numbers in the text of a manifest: replaced where they stand, its words and comments stay.

A manifest is written when it can be read again with its new numbers, and then all of it at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from environment import ROOT
from training.errors import WeightsInvalid
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs.manifest import MANIFEST, parse_manifest

PACK = ROOT / "serve" / "velum_pipeline" / "packs" / "velum-street"


def with_file(manifest: str, path: Path) -> str:
    """The manifest's text with the hash and size that the file has now. Raises WeightsInvalid."""
    data = path.read_bytes()
    entry = re.compile(rf'(?m)^(name = "{re.escape(path.name)}"\nsha256 = ")[0-9a-f]*("\nsize = )\d+')
    text, count = entry.subn(rf"\g<1>{hashlib.sha256(data).hexdigest()}\g<2>{len(data)}", manifest)
    if count != 1:
        raise WeightsInvalid(Path(MANIFEST), f"does not list {path.name} with sha256 and size on the next lines")
    return text


def with_threshold(manifest: str, component: str, object_class: ObjectClass, threshold: float) -> str:
    """The manifest's text with another threshold of a component's class. Raises WeightsInvalid."""
    line = re.compile(rf"(?m)^({re.escape(object_class.value)} = \{{ threshold = )[0-9.]+")
    return _in_block(manifest, "components", component, line, threshold, f"threshold of {object_class.value}")


def with_outlines(manifest: str, name: str, numbers: Mapping[str, float]) -> str:
    """The manifest's text with other numbers (side, margin, ...) of an outline network. Raises WeightsInvalid."""
    for key, value in numbers.items():
        line = re.compile(rf"(?m)^({re.escape(key)} = )[0-9.]+")
        manifest = _in_block(manifest, "outlines", name, line, value, key)
    return manifest


def _in_block(manifest: str, kind: str, name: str, line: re.Pattern[str], value: float, what: str) -> str:
    """With ``value`` behind what ``line`` finds once in the block [[kind]] of this name."""
    blocks = re.split(r"(?m)^(?=\[\[)", manifest)
    for index, block in enumerate(blocks):
        if block.startswith(f"[[{kind}]]") and re.search(rf'(?m)^name = "{re.escape(name)}"$', block):
            number = str(value) if isinstance(value, int) else f"{value:.3f}"
            blocks[index], count = line.subn(rf"\g<1>{number}", block)
            if count == 1:
                return "".join(blocks)
    raise WeightsInvalid(Path(MANIFEST), f"has no {what} in {name}")


def write_manifest(path: Path, text: str) -> None:
    """Replace a manifest with this text. Raises ManifestInvalid and leaves the old one when the text is none."""
    parse_manifest(text, str(path))
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    partial.replace(path)
