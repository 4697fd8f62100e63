"""What can go wrong with the local control plane, and with the node and the images that stand on it, as one tree.

LocalPlaneError
├── ToolsMissing     the machine lacks something: the text says what to install
├── AssetsInvalid    KUBEBUILDER_ASSETS does not hold the programs
├── BuildFailed      the tools are there, but a program or an image could not be built
├── StateInvalid     a folder or file is not ours to touch
└── StartFailed      a server ended or did not get ready; carries the tails of the logs
"""


class LocalPlaneError(Exception):
    """Anything that a command reports as one message instead of a traceback."""


class ToolsMissing(LocalPlaneError):
    """The machine lacks a tool; the text names it and tells how to get it."""


class AssetsInvalid(LocalPlaneError):
    """The folder named by KUBEBUILDER_ASSETS does not hold every program."""


class BuildFailed(LocalPlaneError):
    """A build failed; the text ends with what it printed."""


class StateInvalid(LocalPlaneError):
    """A state folder or a kubeconfig exists that this tool did not make, so it is left alone."""


class StartFailed(LocalPlaneError):
    """A server ended early or was not ready in time; the text ends with its log."""
