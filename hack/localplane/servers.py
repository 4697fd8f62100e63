"""How the two servers are started, and how they are asked whether they are well.

etcd listens on unix sockets inside the state folder (mode 0700) and on no port: what it holds is protected by the file
system, and two control planes cannot meet. etcd wants `host:port` even there, so the socket files are called
`etcd:2379` and `etcd:2380`. kube-apiserver listens on 127.0.0.1 with TLS.
"""

import http.client
import os
import socket
import ssl
import urllib.error
import urllib.request
from pathlib import Path

from . import access

ETCD_SOCKET = "etcd:2379"
CERTIFICATES = "certs"
TOKENS = "tokens.csv"
SERVICE_ACCOUNT_KEY = "service-account.key"

_PEER_SOCKET = "etcd:2380"
_PROBE_TIMEOUT_S = 5.0


def etcd(assets: Path) -> list[str]:
    """The command line of etcd, to be run in the state folder."""
    return [
        str(assets / "etcd"),
        "--name=velum",
        "--data-dir=etcd-data",
        f"--listen-client-urls=unix://{ETCD_SOCKET}",
        f"--advertise-client-urls=unix://{ETCD_SOCKET}",
        f"--listen-peer-urls=unix://{_PEER_SOCKET}",
        f"--initial-advertise-peer-urls=unix://{_PEER_SOCKET}",
        f"--initial-cluster=velum=unix://{_PEER_SOCKET}",
        "--unsafe-no-fsync",  # the state is thrown away by `down`: nothing to protect from a power cut
        "--log-level=warn",
    ]


def kube_apiserver(assets: Path, port: int) -> list[str]:
    """The command line of kube-apiserver on 127.0.0.1:`port`, to be run in the state folder."""
    return [
        str(assets / "kube-apiserver"),
        f"--etcd-servers=unix://{ETCD_SOCKET}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={CERTIFICATES}",
        f"--token-auth-file={TOKENS}",
        "--authorization-mode=RBAC",
        f"--service-account-key-file={SERVICE_ACCOUNT_KEY}",
        f"--service-account-signing-key-file={SERVICE_ACCOUNT_KEY}",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-cluster-ip-range=10.0.0.0/24",
        # A loopback address is not allowed in Endpoints, and nothing inside this cluster looks for them.
        "--endpoint-reconciler-type=none",
        # It refuses pods until a controller (there is none) has made each namespace's default account.
        "--disable-admission-plugins=ServiceAccount",
        "--profiling=false",
    ]


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to a socket file in a folder that may have any length.

    A socket's path is limited to 107 bytes, a state folder is not: the way through the folder's descriptor is short.
    """

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__("localhost", timeout=_PROBE_TIMEOUT_S)
        self._folder, self._name = folder, name

    def connect(self) -> None:
        descriptor = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(f"/proc/self/fd/{descriptor}/{self._name}")
        except OSError:
            self.sock.close()
            raise
        finally:
            os.close(descriptor)


def etcd_is_healthy(state: Path) -> bool:
    """Whether the etcd of this state folder answers that it can serve."""
    connection = _UnixConnection(state, ETCD_SOCKET)
    try:
        connection.request("GET", "/health")
        return b'"health":"true"' in connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def api_is_ready(state: Path, port: int, token: str) -> bool:
    """Whether the API server is ready and knows the admin, and the namespace `default` exists.

    /readyz turns true before the system namespaces are made; a first `kubectl apply` must not race with that. The
    server's certificate is verified with the authority that ends up in the kubeconfig.
    """
    try:
        chain = (state / CERTIFICATES / "apiserver.crt").read_text()
        context = ssl.create_default_context(cadata=access.authority(chain))
        return all(_answers(f"https://127.0.0.1:{port}{path}", token, context) for path in _READY_PATHS)
    except (OSError, ValueError, http.client.HTTPException):  # not there yet, half a certificate, half an answer
        return False


_READY_PATHS = ("/readyz", "/api/v1/namespaces/default")


def _answers(url: str, token: str, context: ssl.SSLContext) -> bool:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    # Never through a proxy of the environment: this is loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=_PROBE_TIMEOUT_S) as answer:
            return bool(answer.status == http.HTTPStatus.OK)
    except urllib.error.HTTPError as error:
        error.close()
        return False
