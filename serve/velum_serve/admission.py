"""Who may give a replica work: whoever has Ray's own token, where this Ray authenticates by token.

A work order names files of the storage, so whoever has one taken has them read. Serve's HTTP proxies ask nobody who he
is; the replica does. It wants what every other port of the same cluster wants (https://docs.ray.io/en/latest/
ray-security/token-auth.html): KubeRay's Secret brings it into each of its pods as RAY_AUTH_TOKEN, `velum_serve.head`
writes it to the file that RAY_AUTH_TOKEN_PATH names, and Ray hands both on to all processes of its workers. Ray's own
check is used, so that there is one rule of where the token is looked for; it compares in constant time
(AuthenticationToken::CompareWithMetadata, src/ray/rpc/authentication). Ray 2.55 to 2.60 have this interface, which
their dashboards use.

A Ray without token authentication asks nobody, as everywhere else: there a network policy has to keep others away.
"""

from ray._private.authentication.authentication_utils import is_token_auth_enabled, validate_request_token
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

SCHEME = "Bearer"


def refusal(request: Request) -> Response | None:
    """Return what to answer a caller who may not, None to one who may. Nothing of the request's body is read."""
    if not is_token_auth_enabled():
        return None
    told = request.headers.get("authorization", "")
    if validate_request_token(told):
        return None
    what = "is not this cluster's" if told else "is missing"
    text = f"Ray's token {what}: send 'Authorization: {SCHEME} <token>' (of the operator: serving.token)"
    return JSONResponse({"error": text}, 401, {"WWW-Authenticate": SCHEME})
