"""Settings: small groups, each with its own prefix, parsed once in the composition root and passed in.

Precedence: command-line flags, then environment variables (`VELUM_WEBHOOK_ALLOW_PRIVATE=true`), then the file that
`--config` or `VELUM_CONFIG` names (TOML, one table per group), then the defaults.
"""

import base64
import binascii
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, NoDecode, SettingsConfigDict

from velum.errors import InvalidInput
from velum.shipped import SHIPPED_PACK

SECRET_BYTES = 24
"""Shortest signing secret that Standard Webhooks recommends."""

G = TypeVar("G", bound=BaseSettings)


def _listed(value: Any) -> Any:
    """Return a comma-separated text as a list: what people write into an environment variable."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


Words = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)]
VideoCodec = Literal["x264", "x265", "svtav1", "h264_nvenc", "hevc_nvenc"]
Paths = Annotated[tuple[Path, ...], NoDecode, BeforeValidator(_listed)]


def _config(prefix: str) -> SettingsConfigDict:
    return SettingsConfigDict(env_prefix=prefix, frozen=True, extra="forbid")


class StorageSettings(BaseSettings):
    """Where files are."""

    model_config = _config("VELUM_STORAGE_")

    input: str = Field("", description="URL of the input store: uploads and sources.")
    output: str = Field("", description="URL of the output store: results.")


class LimitSettings(BaseSettings):
    """What is refused."""

    model_config = _config("VELUM_LIMIT_")

    upload_bytes: int = Field(2 << 30, gt=0, description="Largest upload or URL source, in bytes.")
    pixels: int = Field(300_000_000, gt=0, description="Largest picture, in pixels; of videos, see the group `video`.")
    queue: int = Field(10_000, gt=0, description="Unfinished tasks from which on new ones are answered 503.")
    sync_seconds: float = Field(600.0, gt=0, description="How long a synchronous request waits for its result.")


class WebhookSettings(BaseSettings):
    """Calls at the end of a task."""

    model_config = _config("VELUM_WEBHOOK_")

    allow_private: bool = Field(False, description="Call private, loopback and link-local addresses too.")
    secret: SecretStr | None = Field(None, description="Standard Webhooks signing secret: whsec_ and base64.")

    @field_validator("secret")
    @classmethod
    def _usable(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None:
            return None
        try:
            key = base64.b64decode(value.get_secret_value().removeprefix("whsec_"), validate=True)
        except binascii.Error:
            key = b""
        if len(key) < SECRET_BYTES:
            raise ValueError(f"must be whsec_ and at least {SECRET_BYTES} bytes in base64 (Standard Webhooks)")
        return value

    timeout_seconds: float = Field(15.0, gt=0, description="How long a receiver may take to answer.")


class SourceSettings(BaseSettings):
    """Tasks whose source is a URL."""

    model_config = _config("VELUM_SOURCE_")

    allow_private: bool = Field(False, description="Fetch from private, loopback and link-local addresses too.")
    timeout_seconds: float = Field(300.0, gt=0, description="How long a download may take.")


class ApiSettings(BaseSettings):
    """The REST API."""

    model_config = _config("VELUM_API_")

    host: str = Field("127.0.0.1", description="Address to listen on; `::` for all, of IPv4 too.")
    port: int = Field(7000, ge=0, le=65535, description="Port to listen on.")
    metrics_port: int = Field(0, ge=0, le=65535, description="Port of /metrics alone; 0: it is beside the API.")
    grace_seconds: float = Field(600.0, ge=0, description="How long requests may go on when the server stops.")
    endpoint: str = Field("", description="Base URL of the links in answers; by default where the server listens.")

    @field_validator("endpoint")
    @classmethod
    def _absolute(cls, value: str) -> str:
        if value and not re.match(r"https?://[^/\s]+", value):
            raise ValueError("must be an absolute http(s) URL")
        return value.rstrip("/")

    tls_cert: Path | None = Field(None, description="Certificate chain (PEM); with tls_key the server speaks HTTPS.")
    tls_key: Path | None = Field(None, description="Private key (PEM).")
    classes: Words = Field((), description="Classes that requests may ask for; empty: all the model serves.")
    default_classes: Words = Field((), description="Classes used when a request names none.")
    model: str = Field("default", description="AnonymizationModel used when a request names none.")
    format: str = Field("whole", description="Default of the parameter `format`.")
    save_mask: str = Field("all", description="Default of the parameter `save-mask`.")


class ServingSettings(BaseSettings):
    """Ray Serve."""

    model_config = _config("VELUM_SERVING_")

    dashboard: str = Field("http://127.0.0.1:8265", description="Ray's dashboard: where the serving config is PUT.")
    url: str = Field("http://127.0.0.1:8000", description="Ray Serve's HTTP proxy: where work orders go.")
    rayservice: str = Field("", description="ConfigMap with the RayService for KubeRay; empty: Ray exists already.")
    token: SecretStr | None = Field(None, description="Ray's authentication token.")
    packs: Paths = Field((), description="Folders with model packs, as the replicas see them.")
    default_packs: Words = Field(
        (SHIPPED_PACK,), description="Packs of the model `default` of one machine; several are an ensemble."
    )
    cache: Path | None = Field(None, description="Folder of fetched weights, as the replicas see it.")


class VideoSettings(BaseSettings):
    """How videos are written, and which are refused."""

    model_config = _config("VELUM_VIDEO_")

    codec: VideoCodec = Field("x264", description="Encoder of results; those of NVIDIA need a card that has them.")
    preset: str = Field(
        "",
        max_length=32,
        pattern=r"^[a-z0-9]*$",
        description="The encoder's preset, in its own words; empty: a fast one of ours (veryfast for x264).",
    )
    frame_pixels: int = Field(36_000_000, gt=0, description="Largest frame, in pixels.")
    frame_rate: int = Field(1000, gt=0, description="Most frames per second.")


class ControllerSettings(BaseSettings):
    """The controller."""

    model_config = _config("VELUM_CONTROLLER_")

    namespace: str = Field("default", description="Namespace whose tasks are reconciled.")
    workers: int = Field(16, ge=1, le=256, description="Tasks reconciled at a time.")
    resync_seconds: float = Field(30.0, gt=0, description="Every task that has not ended is looked at this often.")
    orphan_seconds: float = Field(3600.0, gt=0, description="Files without a task are removed when this old.")
    metrics_port: int = Field(9090, ge=0, le=65535, description="Port of /metrics and /healthz; 0 for none.")


class Settings(BaseModel):
    """All groups."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    storage: StorageSettings
    limit: LimitSettings
    webhook: WebhookSettings
    source: SourceSettings
    api: ApiSettings
    serving: ServingSettings
    video: VideoSettings
    controller: ControllerSettings

    @classmethod
    def load(cls, file: Path | None = None, flags: Mapping[str, Mapping[str, Any]] | None = None) -> Self:
        """Return the settings from flags, environment, file and defaults, in this order.

        Args:
            file: TOML with one table per group.
            flags: group → field → value; None values count as absent.

        Raises:
            InvalidInput: `field` is `group.field` as the file spells it.
        """
        tables = _tables(file)
        unknown = sorted(set(tables) - set(cls.model_fields))
        if unknown:
            raise InvalidInput(unknown[0], f"{file}: no such group; there are {', '.join(cls.model_fields)}")
        groups: dict[str, BaseSettings] = {}
        for name, field in cls.model_fields.items():
            kind = cast(type[BaseSettings], field.annotation)
            groups[name] = _group(name, kind, tables.get(name, {}), (flags or {}).get(name, {}))
        return cls.model_validate(groups)


def _tables(file: Path | None) -> dict[str, dict[str, Any]]:
    if file is None:
        return {}
    try:
        tables = tomllib.loads(file.read_text())
    except OSError as error:
        raise InvalidInput("config", f"{file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput("config", f"{file}: {error}") from error
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InvalidInput(name, f"{file}: must be a table: [{name}]")
    return tables


def _group(name: str, kind: type[G], table: Mapping[str, Any], flags: Mapping[str, Any]) -> G:
    given = {key: value for key, value in flags.items() if value is not None}
    try:
        return kind(**{**table, **EnvSettingsSource(kind)(), **given})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join([name, *(str(part) for part in first["loc"])])
        text = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            text = f"no such setting; there are {', '.join(kind.model_fields)}"
        raise InvalidInput(field, text) from error
