"""Server-side request forgery is stopped where connections are made.

A client may name a URL that Velum calls. Checking the host name first and connecting later leaves a gap in which DNS
can change its answer. So the decisive check sits in the socket factory: it sees the very address that is about to be
connected to, whether it came from DNS or was written into the URL. `check_url` gives the same answer early, for a
clear error at submission time.
"""

import asyncio
import ipaddress
import socket
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from velum.errors import ForbiddenTarget

NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052: IPv4 addresses inside IPv6; a private one inside must not pass as global."""


class RefusedAddressError(OSError):
    """The connection was not made: the address is not public."""


def is_public(address: str) -> bool:
    """Tell whether an IP address is one of the public internet's.

    Private, loopback, link-local (cloud metadata services live there), multicast, reserved and unspecified addresses
    are not, nor are IPv6 forms that carry such an IPv4 address.
    """
    ip = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


async def check_url(url: str, *, allow_private: bool) -> None:
    """Raise ForbiddenTarget when this URL must not be called.

    A name that does not resolve now is let through: it may later, and the check at the time of the call decides.
    """
    parts = _split(url)
    if allow_private:
        return
    host = parts.hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return
    except UnicodeError as error:
        raise ForbiddenTarget(url, f"{host} is no host name") from error
    for *_, address in found:
        if not is_public(str(address[0])):
            raise ForbiddenTarget(url, f"{host} has the address {address[0]}, which is not public")


def _split(url: str) -> Any:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ForbiddenTarget(url, f"not a valid URL: {error}") from error
    if parts.scheme not in {"http", "https"}:
        raise ForbiddenTarget(url, "only http and https are called")
    if not parts.hostname:
        raise ForbiddenTarget(url, "names no host")
    if port == 0:
        raise ForbiddenTarget(url, "port 0 cannot be called")
    if parts.username is not None or parts.password is not None:
        raise ForbiddenTarget(url, "carries credentials, which would end up in logs")
    return parts


def guarded_session(*, allow_private: bool, timeout_seconds: float) -> aiohttp.ClientSession:
    """Return a session that connects to public addresses only. It must be made and closed in an event loop.

    Redirects must be switched off by the caller or followed only within this session: each connection is checked.
    """

    def connect(info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        if not allow_private and not is_public(str(address[0])):
            raise RefusedAddressError(f"{address[0]} is not a public address")
        return socket.socket(family=family, type=kind, proto=protocol)

    connector = aiohttp.TCPConnector(socket_factory=connect, use_dns_cache=False, limit=64)
    return aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        trust_env=False,  # a proxy would make the connection for us, past the check
        cookie_jar=aiohttp.DummyCookieJar(),
    )
