"""What a client or operator can do about a class that the chosen model does not find.

The only name of a pack in the ingress: it must not load packs itself (it knows no detector). A test holds it against
the packs that ship.
"""

from collections.abc import Iterable, Sequence

from velum.api import AnonymizationModel

SHIPPED_PACK = "velum-street"
"""The pack that comes with its weights and finds every class."""


def not_served(
    model: AnonymizationModel, missing: Sequence[str], wanted: Iterable[str], models: Iterable[AnonymizationModel]
) -> str:
    """Return why the model cannot do this work, and the shortest way to one that can.

    Args:
        model: the one that was chosen.
        missing: classes that it does not serve; not empty.
        wanted: all classes of the request: a hint that leads to the next refusal is none.
        models: all models of the store.
    """
    classes = set(wanted)
    other = next((each.name for each in models if classes <= set(each.spec.classes)), None)
    if other is not None:
        way = f"use model={other}"
    else:
        way = (
            f"the pack {SHIPPED_PACK} finds {', '.join(missing)}: start `velum up` with `--pack {SHIPPED_PACK}`, "
            "or in a cluster add pack and class to the AnonymizationModel"
        )
    return f"model {model.name!r} serves {', '.join(model.spec.classes)} only; {way}"
