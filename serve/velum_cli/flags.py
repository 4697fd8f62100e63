"""Flags of the commands as settings: flags win over environment, file and defaults (`velum.settings`)."""

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from velum.errors import InvalidInput
from velum.settings import Settings, VideoCodec
from velum.shipped import SHIPPED_PACK

Config = Annotated[Path | None, typer.Option("--config", envvar="VELUM_CONFIG", help="Settings as TOML.")]
Classes = Annotated[
    list[str] | None,
    typer.Option("-a", "--anonymize", help="Class that requests may ask for; repeat for more. Default: all found."),
]
Endpoint = Annotated[str | None, typer.Option("--api-endpoint", help="Base URL of the links in answers.")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on; :: for all, of IPv4 too.")]
Port = Annotated[int | None, typer.Option("--port", help="Port to listen on.")]
TlsCert = Annotated[Path | None, typer.Option("--tls-cert", help="Certificate chain (PEM); with --tls-key: HTTPS.")]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Private key (PEM).")]
Format = Annotated[str | None, typer.Option("--format", help="Default of the request parameter `format`.")]
SaveMask = Annotated[str | None, typer.Option("--save-mask", help="Default of the request parameter `save-mask`.")]
Model = Annotated[str | None, typer.Option("--model", help="Model used when a request names none.")]
Packs = Annotated[list[Path] | None, typer.Option("--packs", help="Folder with model packs; repeat for more.")]
Pack = Annotated[
    list[str] | None,
    typer.Option("--pack", help=f"Pack to detect with; repeat for an ensemble. Default: {SHIPPED_PACK}."),
]
Input = Annotated[str | None, typer.Option("--input", help="Folder or URL of uploads and sources.")]
Output = Annotated[str | None, typer.Option("--output", help="Folder or URL of results.")]
Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="Work on the resources of this cluster instead of a local database.")
]
Namespace = Annotated[str | None, typer.Option("--namespace", help="Namespace of the tasks.")]
AllowPrivate = Annotated[
    bool | None,
    typer.Option("--webhook-allow-private/--webhook-public-only", help="Call private addresses as webhooks too."),
]
Codec = Annotated[
    str | None, typer.Option("--video-codec", "--codec", help=f"Encoder of videos: {', '.join(get_args(VideoCodec))}.")
]
Preset = Annotated[
    str | None, typer.Option("--video-preset", "--preset", help="Its preset, in its own words. Default: a fast one.")
]
LogLevel = Annotated[str, typer.Option("--log-level", help="debug, info, warning or error.")]


def defaults(anonymize: list[str] | None, model: str | None, cut: str | None, save_mask: str | None) -> dict[str, Any]:
    """Return the settings of what requests may ask for, and get when they do not say."""
    return {"classes": class_names(anonymize), "model": model, "format": cut, "save_mask": save_mask}


def serving(packs: list[Path] | None, pack: list[str] | None = None) -> dict[str, Any]:
    """Return the settings of --packs and --pack."""
    return {
        "packs": tuple(path.resolve() for path in packs) if packs else None,
        "default_packs": tuple(pack) if pack else None,
    }


def class_names(values: list[str] | None) -> tuple[str, ...] | None:
    """Return the classes of -a; `_` and `-` are the same, as in request parameters."""
    return tuple(value.replace("_", "-") for value in values) if values else None


def check_file(flag: str, path: Path | None) -> None:
    """Raise InvalidInput naming the flag when the file it names is not there."""
    if path is not None and not path.is_file():
        raise InvalidInput(flag, f"{path} is not a file")


def store_url(value: str | None) -> str | None:
    """Return a folder as a file URL; URLs stay as they are."""
    if value is None or "://" in value:
        return value
    return Path(value).resolve().as_uri()


def load(config: Path | None, **groups: dict[str, Any]) -> Settings:
    """Return the settings with these flags on top. Raises InvalidInput."""
    return Settings.load(config, groups)
