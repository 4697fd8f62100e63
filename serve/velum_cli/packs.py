"""Which models a machine can offer: one named `default` made of the packs that are ready, and one for each pack."""

from collections.abc import Iterator, Sequence

from velum.api.model import Batch, ModelSpec, Scale
from velum.errors import InvalidInput
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs.registry import PackRegistry

DEFAULT_MODEL = "default"
IDLE_SECONDS = 900
"""On one machine, memory is given back after a quarter of an hour; starting again takes seconds."""

ORDERS_PER_CORE = 4
"""Work orders a replica holds per core: enough to decode the next pictures while one is looked at."""


def ready_packs(registry: PackRegistry) -> tuple[str, ...]:
    """Return the names of the packs whose weights are here, in order of their names."""
    return tuple(status.manifest.name for status in registry.available() if status.ready)


def together(registry: PackRegistry, packs: Sequence[str]) -> tuple[str, ...]:
    """Return the packs that are worth asking together: not those whose networks are all in one that has more.

    Such a pack is a faster choice by itself (`faces` beside `street`); with the other it finds nothing that is new.
    """
    weights = {name: {file.sha256 for file in registry.get(name).files} for name in packs}
    return tuple(name for name in packs if not any(weights[name] < other for other in weights.values()))


def local_models(registry: PackRegistry, packs: Sequence[str], cores: int) -> Iterator[tuple[str, ModelSpec]]:
    """Yield the models for one machine: `default`, an ensemble of the packs, then each pack by its own name."""
    yield DEFAULT_MODEL, _spec(registry, together(registry, packs), cores)
    for name in packs:
        yield name, _spec(registry, (name,), cores)


def _spec(registry: PackRegistry, packs: Sequence[str], cores: int) -> ModelSpec:
    found = registry.classes(packs)
    return ModelSpec(
        packs=tuple(packs),
        classes=tuple(name.value for name in ObjectClass if name in found),
        cpu_millis=0,  # models share the machine's cores: reserving some would leave the third model none
        threads=cores,
        scale=Scale(
            max_replicas=1,
            target_ongoing=ORDERS_PER_CORE * cores,
            max_ongoing=ORDERS_PER_CORE * cores,
            idle_seconds=IDLE_SECONDS,
        ),
        batch=Batch(max_size=max(1, cores)),
    )


def require_classes(registry: PackRegistry, packs: Sequence[str], classes: Sequence[str]) -> None:
    """Raise unless the packs find every class that the user asked for; the error says which command gets it."""
    known = [each.value for each in ObjectClass]
    for name in classes:
        if name not in known:
            raise InvalidInput("-a", f"{name!r} is not a class; there are {', '.join(known)}")
    registry.require(packs, [ObjectClass(name) for name in classes])
