"""Who may talk to the local API server: its service-account key, the admin's token and the kubeconfig.

No openssl and no Go program are needed. kube-apiserver makes its own certificate authority and serving certificate; the
admin comes with a bearer token of the group `system:masters`; and the key that signs service-account tokens is written
here, because a private key on the curve P-256 is nothing but a random number in a short DER envelope.
"""

import base64
import os
import re
import secrets
from collections.abc import Iterable
from pathlib import Path

from .errors import StateInvalid

_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # FIPS 186-4, D.1.2.3
_SEC1_VERSION = bytes.fromhex("020101")  # INTEGER 1
_SEC1_SCALAR = bytes.fromhex("0420")  # OCTET STRING of 32 bytes
_SEC1_CURVE = bytes.fromhex("a00a06082a8648ce3d030107")  # [0] OBJECT IDENTIFIER 1.2.840.10045.3.1.7, prime256v1

_MARK = "# Written by hack/controlplane for "


def service_account_key() -> str:
    """A fresh ECDSA P-256 private key as PEM: ECPrivateKey of RFC 5915, without the optional public key.

    Go derives the public key from the scalar, so kube-apiserver signs and verifies with this one file.
    """
    scalar = (secrets.randbelow(_P256_ORDER - 1) + 1).to_bytes(32, "big")
    body = _SEC1_VERSION + _SEC1_SCALAR + scalar + _SEC1_CURVE
    der = bytes([0x30, len(body)]) + body
    return f"-----BEGIN EC PRIVATE KEY-----\n{base64.encodebytes(der).decode()}-----END EC PRIVATE KEY-----\n"


def admin_token() -> str:
    """A fresh bearer token of 256 random bits."""
    return secrets.token_urlsafe(32)


def token_file(token: str) -> str:
    """The line of kube-apiserver's --token-auth-file that makes `token` the cluster's admin."""
    return f'{token},velum-admin,velum-admin,"system:masters"\n'


def authority(certificate_file: str) -> str:
    """The certificate authority out of the chain that kube-apiserver wrote: leaf first, authority last."""
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", certificate_file, re.DOTALL)
    return blocks[-1] if blocks else ""


def kubeconfig(server: str, authority_pem: str, token: str, state: Path) -> str:
    """The admin's kubeconfig (YAML); its first line tells which state folder it belongs to."""
    return f"""\
{_MARK}{state}
apiVersion: v1
kind: Config
current-context: velum-local
clusters:
- name: velum-local
  cluster:
    server: {server}
    certificate-authority-data: {base64.b64encode(authority_pem.encode()).decode()}
users:
- name: velum-admin
  user:
    token: {token}
contexts:
- name: velum-local
  context:
    cluster: velum-local
    user: velum-admin
"""


def write_kubeconfig(file: Path, text: str) -> None:
    """Put `text` into `file` at once (mode 0600). Raises StateInvalid rather than replace somebody's kubeconfig."""
    check_kubeconfig(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_private(file, text)


def check_kubeconfig(file: Path) -> None:
    """Raise StateInvalid if `file` exists with content that is not ours."""
    if file.is_dir():
        raise StateInvalid(f"{file} is a folder; --kubeconfig takes a file")
    if file.exists() and file.stat().st_size and not _is_ours(file):
        raise StateInvalid(f"{file} exists and was not written by hack/controlplane: name another file")


def remove_kubeconfigs(files: Iterable[Path], state: Path) -> None:
    """Remove those `files` that still belong to `state`: what they point at is gone, and they hold a token."""
    for file in files:
        if file.is_file() and _first_line(file) == f"{_MARK}{state}":
            file.unlink()


def write_private(file: Path, text: str) -> None:
    """Replace `file` with `text`, readable by the owner only, never seen half written."""
    scratch = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as output:
        output.write(text)
    scratch.replace(file)


def _is_ours(file: Path) -> bool:
    return _first_line(file).startswith(_MARK)


def _first_line(file: Path) -> str:
    with file.open(errors="replace") as lines:
        return lines.readline().rstrip("\n")
