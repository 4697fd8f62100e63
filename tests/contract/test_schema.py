"""Every operation of the OpenAPI document, with generated input, against the real server.

Left out are the two checks that ask whether input is accepted exactly when the schema says so: the contract takes more
spellings than a schema can say (`True`, `yes`, an empty value), and refuses valid values together (no class at all).
"""

import re

import httpx
import schemathesis
from hypothesis import HealthCheck, settings

from support.velumup import VelumUp
from velum_ingress.openapi import document

CHECKS = [
    schemathesis.checks.not_a_server_error,
    schemathesis.checks.status_code_conformance,
    schemathesis.checks.content_type_conformance,
    schemathesis.checks.response_schema_conformance,
    schemathesis.checks.response_headers_conformance,
]


TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""A header's name (RFC 9110, 5.6.2). What has another is no HTTP, and is answered before there is an operation."""

schema = schemathesis.openapi.from_dict(document())


def test_the_server_serves_this_document(client: httpx.Client) -> None:
    assert client.get("/openapi.json").json() == document()


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_the_server_keeps_to_its_document(server: VelumUp, case: schemathesis.Case) -> None:
    for name in [name for name in case.headers or {} if not TOKEN.fullmatch(name)]:
        del case.headers[name]
    case.call_and_validate(base_url=server.url, checks=CHECKS, timeout=60)
