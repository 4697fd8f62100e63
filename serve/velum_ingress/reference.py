"""The page at /docs: the OpenAPI document as plain HTML, with examples to copy.

Written here because the usual viewers load their code from a content network: a self-hosted server's documentation
must work without the internet, and tell nobody who reads it.
"""

from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid #8886; } code, pre { font: 0.9em ui-monospace, monospace; }
pre { padding: 0.75rem; overflow-x: auto; background: #8882; border-radius: 6px; }
table { border-collapse: collapse; width: 100%; }
td { text-align: left; vertical-align: top; padding: 0.25rem 0.75rem 0.25rem 0; }
.method { font-weight: 700; margin-right: 0.5rem; }
"""

EXAMPLES = {
    ("post", "/v1/file"): (
        "# Blur faces and licence plates, and wait for the result",
        "curl -F fileobject=@street.jpg '{base}/v1/file?face=true&license-plate=true'",
        "# The same without waiting; the answer's Location is the task",
        "curl -i -H 'x-is-async: true' -F fileobject=@street.jpg '{base}/v1/file?face=true&license-plate=true'",
        "# A video: fetch the task until it is done; `progress` and `finish_estimate` say how far it is",
        "curl -i -H 'x-is-async: true' -F fileobject=@clip.mp4 '{base}/v1/file?model=object-detection-v2'",
        "# Only look: masks and metadata, no picture",
        "curl -F fileobject=@street.jpg '{base}/v1/file?face=true&method=detect'",
    ),
    ("get", "/v1/file/{id}/video/anonymised"): (
        "curl -OJ '{base}/v1/file/ID/video/anonymised'",
        "# Go on with a download that broke off",
        "curl -C - -o clip.mp4 '{base}/v1/file/ID/video/anonymised'",
    ),
    ("get", "/v1/file/{id}/video/metadata"): (
        "# What was found in the frames 100 to 199",
        "curl '{base}/v1/file/ID/video/metadata?start=100&end=199'",
    ),
    ("get", "/v1/file/{id}/anonymised"): ("curl -OJ '{base}/v1/file/ID/anonymised?quality=80'",),
    ("get", "/v1/file/{id}/instance-mask"): ("curl -OJ '{base}/v1/file/ID/instance-mask?mask-scale=50'",),
    ("get", "/v1/file/{id}/metadata"): ("curl '{base}/v1/file/ID/metadata'",),
    ("get", "/v1/task/list"): ("curl '{base}/v1/task/list?status=failed&limit=10'",),
    ("delete", "/v1/task/{id}"): (
        "curl -X DELETE '{base}/v1/task/ID'",
        "# Delete the files, keep the record",
        "curl -X DELETE '{base}/v1/task/ID?record=false'",
    ),
    ("get", "/v1/status"): ("curl '{base}/v1/status'",),
}


def reference(document: dict[str, Any], base: str) -> str:
    """Return the page for an OpenAPI document; `base` is the URL that the examples use."""
    info = document["info"]
    sections = [
        _operation(method, path, described, base)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    ]
    title = escape(f"{info['title']} {info['version']}")
    intro = "".join(f"<p>{_text(each)}</p>" for each in info["description"].strip().split("\n\n"))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="/favicon.svg"><style>{STYLE}</style></head><body>'
        f"<h1>{title}</h1>{intro}"
        f'<p>For machines: <a href="/openapi.json">openapi.json</a>.</p>{"".join(sections)}</body></html>'
    )


def _operation(method: str, path: str, described: dict[str, Any], base: str) -> str:
    lines = [line.replace("{base}", base) for line in EXAMPLES.get((method, path), ())]
    example = f"<pre>{escape(chr(10).join(lines))}</pre>" if lines else ""
    rows = "".join(_parameter(each) for each in described.get("parameters", ()))
    table = f"<h3>Parameters</h3><table>{rows}</table>" if rows else ""
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{_text(each['description'])}</td></tr>"
        for status, each in described["responses"].items()
    )
    return (
        f'<h2><span class="method">{method.upper()}</span><code>{escape(path)}</code></h2>'
        f"<p>{_text(described.get('description', described.get('summary', '')))}</p>{example}{table}"
        f"<h3>Answers</h3><table>{answers}</table>"
    )


def _parameter(each: dict[str, Any]) -> str:
    schema = each["schema"]
    kind = " | ".join(schema["enum"]) if "enum" in schema else schema["type"]
    if "minimum" in schema and "maximum" in schema:
        kind += f" {schema['minimum']}..{schema['maximum']}"
    default = f"; default <code>{escape(str(schema['default']))}</code>" if "default" in schema else ""
    place = "" if each["in"] == "query" else f", {each['in']}"
    return (
        f"<tr><td><code>{escape(each['name'])}</code></td><td>{escape(kind)}{place}{default}</td>"
        f"<td>{_text(each.get('description', ''))}</td></tr>"
    )


def _text(text: str) -> str:
    """Return a description as HTML: escaped, with backquotes as code."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if index % 2 else part for index, part in enumerate(parts))
