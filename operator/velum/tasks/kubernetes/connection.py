"""How the API server is found and who we are to it: a kubeconfig file, or the service account of the pod we run in."""

from pathlib import Path
from typing import Any
from urllib.request import getproxies

import yaml
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration

from velum.errors import Unavailable
from velum.tasks.kubernetes.refusals import PART

POOL_SIZE = 64
"""Connections kept: more than the controller's parallel writes and the watches of one process."""


async def load_client(kubeconfig: Path | None = None) -> Any:
    """Return an `ApiClient` of the official client, of its asyncio flavour. The caller, or the store, closes it.

    Without a file the pod's service account is used; its token is read again when it expires.

    Raises:
        Unavailable: the file cannot be used, or there is none and this is no pod.
    """
    settings = Configuration()
    settings.connection_pool_maxsize = POOL_SIZE
    # With the environment trusted, aiohttp reads .netrc and looks for proxies in a thread at each request: a third of
    # the operator's CPU. It is asked only where a proxy is named at all.
    settings.client_session_kwargs = {"trust_env": bool(getproxies())}
    try:
        if kubeconfig is None:
            config.load_incluster_config(client_configuration=settings)
        else:
            await config.load_kube_config(str(kubeconfig), client_configuration=settings, persist_config=False)
    except (config.ConfigException, OSError, yaml.YAMLError, TypeError, AttributeError) as error:
        # TypeError, AttributeError: what the client makes of YAML that is no kubeconfig
        source = "no kubeconfig was named and this is no pod" if kubeconfig is None else f"kubeconfig {kubeconfig}"
        raise Unavailable(PART, f"{source}: {error}") from error
    return ApiClient(configuration=settings)
