"""What only one run on one machine knows, put into its settings: folders, where Ray listens, where links point."""

from pydantic import SecretStr

from velum.settings import Settings
from velum_cli.folders import DataFolder, cache_folder
from velum_serve.head import LocalRay


def with_folders(settings: Settings, folder: DataFolder) -> Settings:
    """Return the settings with the data folder's stores where none are named."""
    storage = settings.storage.model_copy(
        update={
            "input": settings.storage.input or folder.inputs.as_uri(),
            "output": settings.storage.output or folder.outputs.as_uri(),
        }
    )
    return settings.model_copy(update={"storage": storage})


def for_controller(settings: Settings, ray: LocalRay, url: str) -> Settings:
    """Return the settings for the controller beside a local Ray.

    Links in webhooks have no request whose address they could take: without an endpoint they point to `url`. The
    controller opens no port of its own, because the ingress shows its metrics.
    """
    serving = settings.serving.model_copy(
        update={
            "dashboard": ray.dashboard,
            "token": SecretStr(ray.token),
            "url": ray.url,
            "rayservice": "",
            "cache": cache_folder(),
        }
    )
    api = settings.api.model_copy(update={"endpoint": settings.api.endpoint or url})
    controller = settings.controller.model_copy(update={"metrics_port": 0})
    return settings.model_copy(update={"serving": serving, "api": api, "controller": controller})
