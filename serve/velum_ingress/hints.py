"""What a client or operator can do about a class that the chosen model does not find."""

from collections.abc import Iterable, Sequence

from velum.api import AnonymizationModel
from velum.shipped import way_to


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
    way = way_to(missing) if other is None else f"use model={other}"
    return f"model {model.name!r} serves {', '.join(model.spec.classes)} only; {way}"
