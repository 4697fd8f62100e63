"""The CustomResourceDefinitions as templates: with a switch, and a note to helm to leave them when the release goes."""

from collections.abc import Iterator

import yaml

from velum.api import crd

WIDTH = 110  # of the YAML's folded lines

_HEAD = """\
{{- /* Generated from operator/velum/api, do not edit: hack/generate */}}
{{- if .Values.crds.install }}
"""

_METADATA = """\
metadata:
  name: %s
  labels: {{- include "velum.labels" (dict "root" .) | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def templates() -> Iterator[tuple[str, str]]:
    """Yield the plural and the template of each resource type."""
    for kind in crd.KINDS:
        definition = crd.build(kind)
        name = definition["metadata"]["name"]
        text = yaml.safe_dump(definition, sort_keys=True, allow_unicode=True, width=WIDTH)
        plain = f"metadata:\n  name: {name}\n"
        if text.count(plain) != 1:
            raise ValueError(f"the definition of {kind} has more metadata than its name: the chart would lose it")
        # What helm would take for its own language is handed through it as a string.
        text = text.replace("{{", '{{ "{{" }}').replace(plain, _METADATA % name)
        yield name.partition(".")[0], f"{_HEAD}{text}{{{{- end }}}}\n"
