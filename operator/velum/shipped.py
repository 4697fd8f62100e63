"""The pack that comes with its weights and finds every class, by name.

Nothing below the pipeline may load packs (it knows no detector), so who gives advice about them, or names the default,
has the name from here. A test holds it against the packs that ship.
"""

from collections.abc import Iterable

SHIPPED_PACK = "velum-street"


def way_to(classes: Iterable[str]) -> str:
    """Return how a client or an operator comes to a model that finds these classes."""
    return (
        f"the pack {SHIPPED_PACK} finds {', '.join(classes)} and comes with Velum: start `velum up` with "
        f"`--pack {SHIPPED_PACK}`, or in a cluster add pack and class to the AnonymizationModel"
    )
