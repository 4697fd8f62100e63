"""From a request's query and headers to what a task needs: the contract's parameters, checked.

Nothing here asks a store: whether the model serves the classes, and whether the webhook may be called, is checked
where the task is made.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from pydantic import ValidationError

from velum.api.task import (
    BoxedClass,
    Classes,
    ObjectSource,
    PersonClass,
    PlateClass,
    ShapedClass,
    Source,
    TaskSpec,
    Tiling,
    Webhook,
)
from velum.errors import InvalidInput
from velum.settings import ApiSettings
from velum.tasks.store import SecretHeader
from velum_ingress.parameters.query import collect
from velum_ingress.parameters.secret import secret_header
from velum_ingress.parameters.table import BY_NAME, CLASSES, HEADER_NAME, ROWS

BOXED: dict[str, type[BoxedClass]] = {"face": BoxedClass, "license-plate": PlateClass}
SHAPED: dict[str, type[ShapedClass]] = {"person": PersonClass, "vehicle": ShapedClass}

PLAIN = {
    "method": "method",
    "bbox": "bbox",
    "ignores": "ignores",
    "debug": "debug",
    "score": "score",
    "quality": "quality",
    "compress-level": "compress_level",
    "lossless": "lossless",
    "gps": "gps",
    "mask-scale": "mask_scale_percent",
    "watermark": "watermark",
}
"""Parameter → field of the spec, where nothing but the name differs."""


@dataclass(frozen=True)
class Defaults:
    """What a server's operator decides for requests that do not say."""

    classes: tuple[str, ...]
    allowed: tuple[str, ...]
    model: str
    tiling: Tiling
    save_mask: str

    @classmethod
    def of(cls, settings: ApiSettings) -> Self:
        """Return the defaults of these settings. Raises InvalidInput with the setting's name."""
        for field, words in (("api.classes", settings.classes), ("api.default_classes", settings.default_classes)):
            unknown = [word for word in words if word not in CLASSES]
            if unknown:
                raise InvalidInput(field, f"{unknown[0]!r} is not one of {', '.join(CLASSES)}")
        refused = [word for word in settings.default_classes if settings.classes and word not in settings.classes]
        if refused:
            raise InvalidInput("api.default_classes", f"{refused[0]!r} is not among api.classes")
        return cls(
            classes=settings.default_classes,
            allowed=settings.classes or CLASSES,
            model=settings.model,
            tiling=BY_NAME["format"].reader("api.format", settings.format),
            save_mask=BY_NAME["save-mask"].reader("api.save_mask", settings.save_mask),
        )


@dataclass(frozen=True)
class Submission:
    """What a client asks for.

    model_named: whether the client chose the model, or the server's default is taken. preferred: of a request that
    names a model and turns no class on, the server's default classes; `classes` are then all that it may have.
    """

    classes: Classes
    model: str
    model_named: bool
    preferred: tuple[str, ...] | None
    name: str | None
    webhook: str | None
    header: SecretHeader | None
    options: Mapping[str, Any]

    @property
    def lossless(self) -> bool:
        """Whether a picture is made, and none that loses anything outside its regions."""
        return bool(self.options.get("lossless")) and self.options.get("method") != "detect"

    def fitting(self, served: Collection[str]) -> Self:
        """Return what is asked of a model that serves these classes.

        A request that chose the model and no class gets the model's: the server's default ones where it has such, else
        all. One that chose classes stays as it is.

        Raises:
            InvalidInput: all that the model serves is turned off.
        """
        if self.preferred is None:
            return self
        found = [name for name in self.classes.names() if name in served]
        names = [name for name in found if name in self.preferred] or found
        if not names:
            raise InvalidInput(CLASSES[0], f"at least one of {', '.join(served)} must be true for this model")
        kept = {name.replace("-", "_") for name in names}
        classes = Classes(**{name: getattr(self.classes, name) for name in Classes.model_fields if name in kept})
        return replace(self, classes=classes)

    def spec(self, key: str, filename: str) -> TaskSpec:
        """Return the task's spec for an upload at this key of the input store.

        Raises:
            InvalidInput: the resource has a rule that no parameter has. None is known; a client must still get a 400.
        """
        try:
            return TaskSpec(
                source=Source(object=ObjectSource(key=key)),
                filename=filename,
                model=self.model,
                classes=self.classes,
                webhook=Webhook(url=self.webhook) if self.webhook is not None else None,
                **self.options,
            )
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise InvalidInput(".".join(map(str, first["loc"])), first["msg"]) from error


def parse(query: Iterable[tuple[str, str]], headers: Mapping[str, str], defaults: Defaults) -> Submission:
    """Return what the request asks for.

    Raises:
        InvalidInput: `field` is the parameter's name in the contract's spelling.
    """
    values = collect(query, {row.name: row.reader for row in ROWS})
    chosen = _chosen(values, defaults)
    open_ = not chosen and "model" in values
    wanted = chosen or _offered(values, defaults.allowed if open_ else defaults.classes)
    webhook, header = values.get("webhook"), secret_header(values, headers)
    if header is not None and webhook is None:
        raise InvalidInput(HEADER_NAME, "is sent with the webhook's call; give the parameter webhook too")
    options = {field: values[name] for name, field in PLAIN.items() if name in values}
    if options.get("quality") == 0:
        del options["quality"]
    return Submission(
        classes=_classes(wanted, values),
        model=values.get("model", defaults.model),
        model_named="model" in values,
        preferred=defaults.classes if open_ else None,
        name=values.get("name"),
        webhook=webhook,
        header=header,
        options={
            **options,
            "tiling": values.get("format", defaults.tiling),
            "save_mask": values.get("save-mask", defaults.save_mask),
        },
    )


def _chosen(values: Mapping[str, Any], defaults: Defaults) -> tuple[str, ...]:
    """Return the classes that the request turns on."""
    chosen = tuple(name for name in CLASSES if values.get(name))
    for name in chosen:
        if name not in defaults.allowed:
            raise InvalidInput(name, f"this server was started for {', '.join(defaults.allowed)} only")
    return chosen


def _offered(values: Mapping[str, Any], offered: Collection[str]) -> tuple[str, ...]:
    """Return the classes that a request gets which turns none on; what it turns off stays off."""
    wanted = tuple(name for name in CLASSES if name in offered and values.get(name, True))
    if not wanted:
        raise InvalidInput(CLASSES[0], f"at least one of {', '.join(CLASSES)} must be true")
    return wanted


def _classes(wanted: tuple[str, ...], values: Mapping[str, Any]) -> Classes:
    found: dict[str, Any] = {}
    for name in wanted:
        if name in BOXED:
            given = _given(
                values,
                threshold_percent=f"{name}-threshold",
                kernel_percent=f"kernel-size-{name}",
                gradient_start_percent=f"{name}-anonymization-gradient-start",
                gradient_stop_percent=f"{name}-anonymization-gradient-stop",
            )
            _check_gradient(name, given)
            found[name.replace("-", "_")] = BOXED[name](**given)
        else:
            given = _given(values, threshold_percent=f"{name}-threshold", kernel_pixels=f"kernel-size-{name}")
            found[name] = SHAPED[name](**given)
    return Classes(**found)


def _check_gradient(name: str, given: Mapping[str, int]) -> None:
    start, stop = (
        given.get(field, BOXED[name].model_fields[field].default)
        for field in ("gradient_start_percent", "gradient_stop_percent")
    )
    if start < stop:
        raise InvalidInput(
            f"{name}-anonymization-gradient-start",
            f"must not be smaller than {name}-anonymization-gradient-stop: the effect begins outside",
        )


def _given(values: Mapping[str, Any], **fields: str) -> dict[str, Any]:
    return {field: values[name] for field, name in fields.items() if name in values}
