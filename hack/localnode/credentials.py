"""Who is who in the cluster: one certificate authority, serving certificates, tokens, kubeconfigs.

Servers prove themselves by certificates of the cluster's own authority (openssl makes them); clients come with bearer
tokens out of one file, as what Kubernetes' own roles know: `system:kube-scheduler`, `system:node:…` and so on. Only the
API server has a client certificate, because kubelets know no other way to recognise it.
"""

import base64
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from localplane import access
from localplane.errors import StartFailed

from . import addresses

ADMIN = "admin"
CONTROLLERS, SCHEDULER, PROXY, KUBELET = "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet"
POLICIES = "kube-router"

_IDENTITIES = {  # ours -> user and groups
    ADMIN: ("velum-admin", "system:masters"),
    CONTROLLERS: ("system:kube-controller-manager", ""),
    SCHEDULER: ("system:kube-scheduler", ""),
    PROXY: ("system:kube-proxy", ""),
    POLICIES: ("system:kube-router", ""),
    KUBELET: (f"system:node:{addresses.NODE_NAME}", "system:nodes"),
}
_DAYS = "3650"
_MARK = "# Written by hack/cluster for "


@dataclass(frozen=True)
class Files:
    """Where the credentials lie."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The cluster's certificate authority."""
        return self.folder / "authority.crt"

    @property
    def tokens(self) -> Path:
        """kube-apiserver's --token-auth-file."""
        return self.folder / "tokens.csv"

    @property
    def service_accounts(self) -> Path:
        """The key that signs service accounts' tokens."""
        return self.folder / "service-accounts.key"

    def certificate(self, name: str) -> Path:
        """Certificate of a server."""
        return self.folder / f"{name}.crt"

    def key(self, name: str) -> Path:
        """Its key."""
        return self.folder / f"{name}.key"

    def kubeconfig(self, name: str) -> Path:
        """The kubeconfig of one identity."""
        return self.folder / f"{name}.kubeconfig"


def write(folder: Path, environment: Mapping[str, str]) -> Files:
    """Make all credentials of a new cluster in `folder` (mode 0700). Raises StartFailed if openssl does."""
    folder.mkdir(mode=0o700)
    files = Files(folder)
    _authority(files, environment)
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", f"kubernetes.default.svc.{addresses.DOMAIN}"]
    hosts = [f"DNS:{name}" for name in ("localhost", *names)]
    hosts += [f"IP:{address}" for address in ("127.0.0.1", addresses.API_SERVICE, addresses.NODE)]
    _certificate(files, "kube-apiserver", "/CN=kube-apiserver", hosts, environment)
    _certificate(
        files,
        "kubelet",
        f"/CN={addresses.NODE_NAME}",
        [f"DNS:{addresses.NODE_NAME}", f"IP:{addresses.NODE}"],
        environment,
    )
    _certificate(files, "kubelet-client", "/CN=velum-apiserver/O=system:masters", [], environment)
    access.write_private(files.service_accounts, access.service_account_key())
    tokens = {name: secrets.token_urlsafe(32) for name in _IDENTITIES}
    lines = (f'{tokens[name]},{user},{name},"{groups}"\n' for name, (user, groups) in _IDENTITIES.items())
    access.write_private(files.tokens, "".join(lines))
    for name, token in tokens.items():
        access.write_private(files.kubeconfig(name), kubeconfig(files.authority.read_text(), token, folder))
    return files


def kubeconfig(authority: str, token: str, owner: Path) -> str:
    """A kubeconfig (YAML) for one token; its first line tells which cluster's folder it belongs to."""
    return f"""\
{_MARK}{owner}
apiVersion: v1
kind: Config
current-context: velum-cluster
clusters:
- name: velum-cluster
  cluster:
    server: https://{addresses.NODE}:{addresses.API_PORT}
    certificate-authority-data: {base64.b64encode(authority.encode()).decode()}
users:
- name: velum
  user:
    token: {token}
contexts:
- name: velum-cluster
  context:
    cluster: velum-cluster
    user: velum
"""


def is_ours(file: Path) -> bool:
    """Whether a kubeconfig was written here, so that it may be replaced or removed."""
    return file.is_file() and file.read_text(errors="replace").startswith(_MARK)


def _authority(files: Files, environment: Mapping[str, str]) -> None:
    _openssl(environment, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", files.key("authority"))
    arguments: list[str | Path] = [
        "-key",
        files.key("authority"),
        "-out",
        files.authority,
        "-days",
        _DAYS,
        "-subj",
        "/CN=velum-cluster",
    ]
    use = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    _openssl(environment, "req", "-x509", "-new", "-sha256", *arguments, *use)


def _certificate(files: Files, name: str, subject: str, hosts: list[str], environment: Mapping[str, str]) -> None:
    request, extensions = files.folder / f"{name}.csr", files.folder / f"{name}.ext"
    lines = ["basicConstraints=critical,CA:FALSE", "keyUsage=critical,digitalSignature"]
    lines += ["extendedKeyUsage=serverAuth,clientAuth"]
    lines += [f"subjectAltName={','.join(hosts)}"] if hosts else []
    extensions.write_text("\n".join(lines) + "\n")
    _openssl(environment, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", files.key(name))
    _openssl(environment, "req", "-new", "-key", files.key(name), "-subj", subject, "-out", request)
    signed_by: list[str | Path] = [
        "-CA",
        files.authority,
        "-CAkey",
        files.key("authority"),
        "-CAcreateserial",
        "-sha256",
    ]
    names: list[str | Path] = ["-in", request, "-out", files.certificate(name), "-days", _DAYS, "-extfile", extensions]
    _openssl(environment, "x509", "-req", *signed_by, *names)
    request.unlink()
    extensions.unlink()


def _openssl(environment: Mapping[str, str], *arguments: str | Path) -> None:
    words = ["openssl", *map(str, arguments)]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StartFailed(f"`{' '.join(words)}` failed: {done.stderr.strip()}")
