"""The chart's computed files: CRDs as templates, the schema of its values, its README."""

from collections.abc import Iterator
from pathlib import Path

from . import crds, readme, schema, values

CHART = "charts/velum"


def wanted(root: Path) -> dict[str, str]:
    """Give the text of every computed file of the chart by its path from the root."""
    entries = list(values.entries((root / CHART / "values.yaml").read_text()))
    files = {f"{CHART}/templates/crd-{name}.yaml": text for name, text in crds.templates()}
    files[f"{CHART}/values.schema.json"] = schema.document(entries)
    files[f"{CHART}/README.md"] = readme.document(entries)
    return files


def strays(root: Path, files: dict[str, str]) -> Iterator[Path]:
    """Yield files that look computed and are not."""
    for file in sorted((root / CHART / "templates").glob("crd-*.yaml")):
        if str(file.relative_to(root)) not in files:
            yield file
