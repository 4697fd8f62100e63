"""The kernel's errors, one small tree. No transport codes: each edge has one table that maps these.

VelumError
├── InvalidInput(field)        the caller must change something; `field` names it
├── NotFound(kind, name)       no such task, model or blob
├── AlreadyExists(kind, name)
├── Conflict(name)             somebody else wrote first; read again and decide anew
├── ForbiddenTarget(url)       the SSRF rules refuse this address
└── Unavailable(part)          storage, API server or Ray do not answer; the same call may succeed later
"""


class VelumError(Exception):
    """Base of every error the kernel raises."""


class InvalidInput(VelumError):
    """A value that cannot be accepted; `field` is the name the caller used for it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class NotFound(VelumError):
    """Nothing of this kind has this name."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} does not exist")
        self.kind = kind
        self.name = name


class AlreadyExists(VelumError):
    """The name is taken."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"{kind} {name!r} exists already")
        self.kind = kind
        self.name = name


class Conflict(VelumError):
    """The record changed since it was read. Read it again and decide anew."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name!r} was changed by somebody else since it was read")
        self.name = name


class ForbiddenTarget(VelumError):
    """An address that Velum will not call on a client's behalf."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"{url}: {why}")
        self.url = url
        self.why = why


class Unavailable(VelumError):
    """A part that Velum stands on does not answer. Retrying later may help."""

    def __init__(self, part: str, why: str) -> None:
        super().__init__(f"{part} is unavailable: {why}")
        self.part = part
        self.why = why
