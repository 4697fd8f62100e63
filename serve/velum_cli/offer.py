"""Which models a machine can offer: `default`, the same on every machine, one for videos by the name that the vendor's
clients know it by, and one for each pack whose weights are here.

What else lies in the cache or in a folder never changes what `default` finds: an ensemble is asked for by name.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from velum.api.model import Batch, ModelSpec, Scale, VideoDetection
from velum.errors import InvalidInput
from velum.shipped import SHIPPED_PACK
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs.registry import PackRegistry

DEFAULT_MODEL = "default"
VIDEO_MODEL = "object-detection-v2"
"""The vendor's name of its model for videos: faces and plates, fast. Its clients send it, so it is there by this name.
"""

VIDEO_CLASSES = (ObjectClass.FACE, ObjectClass.LICENSE_PLATE)
VIDEO_EVERY = 3
"""It looks at every third frame of a video: a tenth of a second at 30 frames per second, which tracks cover."""

IDLE_SECONDS = 900
"""On one machine, memory is given back after a quarter of an hour; starting again takes seconds."""

ORDERS_PER_CORE = 4
"""Work orders a replica holds per core: enough to decode the next pictures while one is looked at."""


def ready_packs(registry: PackRegistry) -> tuple[str, ...]:
    """Return the names of the packs whose weights are here, in order of their names."""
    return tuple(status.manifest.name for status in registry.available() if status.ready)


def require_ready(registry: PackRegistry, packs: Sequence[str]) -> None:
    """Raise unless the weights of all these packs are here and right; the error says which command gets them.

    Raises:
        InvalidInput: no pack is named.
        PackNotFound, WeightsMissing, WeightsCorrupt: as the registry found it.
    """
    if not packs:
        raise InvalidInput("--pack", "name a pack to detect with")
    status = {each.manifest.name: each for each in registry.available()}
    for name in packs:
        if not status[registry.get(name).name].ready:
            raise status[name].problems[0]


@dataclass(frozen=True)
class Offer:
    """What a machine offers. ``default``: the packs of the model of that name; ``ready``: packs whose weights are here.

    ``classes``: what a request may ask for that names no model.
    """

    registry: PackRegistry
    default: tuple[str, ...]
    ready: tuple[str, ...]
    classes: tuple[ObjectClass, ...]

    @property
    def video(self) -> bool:
        """Whether there is a model for videos: the pack that it is made of may have been replaced by one that is not
        ready, or finds something else."""
        return _offers_video(self.registry, self.ready)

    def models(self, cores: int) -> Iterator[tuple[str, ModelSpec]]:
        """Yield the models: `default`, an ensemble of its packs, the one for videos, each ready pack by its own name.

        A pack that has the name of the one for videos takes its place.
        """
        yield DEFAULT_MODEL, _spec(self.registry, self.default, cores)
        if self.video:
            yield VIDEO_MODEL, _video_spec(self.registry, cores)
        for name in self.ready:
            yield name, _spec(self.registry, (name,), cores)


def offered(registry: PackRegistry, default: Sequence[str], model: str, allowed: Sequence[str]) -> Offer:
    """Return what this machine offers to requests that name no model and thus get ``model``.

    allowed: the classes that requests may ask for; empty for all that are found. Of a model that is none of this
    machine's own (a cluster has others) nothing is known, and nothing is refused.

    Raises:
        InvalidInput: an allowed class is none, or a pack has the name of the model `default`.
        PackNotFound, WeightsMissing, WeightsCorrupt, ClassNotFound: with what to do.
    """
    ready = ready_packs(registry)
    if DEFAULT_MODEL in ready:
        raise InvalidInput(
            "--packs", f"a pack cannot be named {DEFAULT_MODEL!r}, as the model is that requests use; change its name"
        )
    require_ready(registry, default)
    used: tuple[str, ...]
    found: Collection[ObjectClass]
    if model == VIDEO_MODEL and _offers_video(registry, ready):
        used, found = (SHIPPED_PACK,), VIDEO_CLASSES
        _require_video_classes(allowed)
    else:
        used = tuple(default) if model == DEFAULT_MODEL else tuple(name for name in ready if name == model)
        found = registry.classes(used)
    require_classes(registry, used or ready, allowed, model)
    classes = tuple(each for each in ObjectClass if each in found and (not allowed or each in allowed))
    return Offer(registry, tuple(default), ready, classes)


def _offers_video(registry: PackRegistry, ready: Sequence[str]) -> bool:
    return SHIPPED_PACK in ready and VIDEO_MODEL not in ready and registry.classes((SHIPPED_PACK,)) >= {*VIDEO_CLASSES}


def _require_video_classes(allowed: Sequence[str]) -> None:
    """Raise InvalidInput for a class that this model leaves out although its pack finds it."""
    for name in allowed:
        if name in list(ObjectClass) and name not in VIDEO_CLASSES:
            raise InvalidInput("-a", f"{name}: the model {VIDEO_MODEL} finds {', '.join(VIDEO_CLASSES)} only")


def _video_spec(registry: PackRegistry, cores: int) -> ModelSpec:
    """Return the model for videos. Like all of them it has no replica until it is asked for."""
    whole = _spec(registry, (SHIPPED_PACK,), cores)
    changes = {
        "classes": tuple(each.value for each in VIDEO_CLASSES),
        "video": VideoDetection(detect_every=VIDEO_EVERY),
    }
    return whole.model_copy(update=changes)


def _spec(registry: PackRegistry, packs: Sequence[str], cores: int) -> ModelSpec:
    found = registry.classes(packs)
    return ModelSpec(
        packs=tuple(dict.fromkeys(packs)),
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


def require_classes(
    registry: PackRegistry, packs: Sequence[str], classes: Sequence[str], model: str = DEFAULT_MODEL
) -> None:
    """Raise unless the packs find every class that the user asked for; the error says which flags get it.

    model: the one that the packs are; `default` is what --pack changes.
    """
    known = [each.value for each in ObjectClass]
    for name in classes:
        if name not in known:
            raise InvalidInput("-a", f"{name!r} is not a class; there are {', '.join(known)}")
    given = "".join(f"--pack {name} " for name in packs)
    instead = "" if model == DEFAULT_MODEL else f" instead of `--model {model}`"
    registry.require(packs, [ObjectClass(name) for name in classes], f"use `{given}--pack {{}}`{instead}")
