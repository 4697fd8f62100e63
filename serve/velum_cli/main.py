"""The `velum` command. Each subcommand turns flags into settings and hands over to the module that does the work."""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from velum.settings import Settings
from velum_cli import flags
from velum_cli.folders import DataFolder, cache_folder
from velum_cli.speaking import spoken

if TYPE_CHECKING:  # each image of a cluster holds the packages of its own command only
    from velum_pipeline.packs.registry import PackRegistry

app = typer.Typer(
    name="velum",
    help="Makes faces, licence plates, persons and vehicles in pictures and videos unrecognisable.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
models_app = typer.Typer(help="Model packs: what there is, and getting their weights.", no_args_is_help=True)
app.add_typer(models_app, name="models")

ALL = "velum[operator,ingress,serve]"


def _registry(settings: Settings) -> "PackRegistry":
    from velum_pipeline.packs.registry import PackRegistry  # noqa: PLC0415

    return PackRegistry(settings.serving.packs, cache_folder())


@app.command()
def up(
    anonymize: flags.Classes = None,
    pack: flags.Pack = None,
    packs: flags.Packs = None,
    data: Annotated[Path, typer.Option("--data", help="Folder for database, files and logs.")] = Path("data"),
    input_: flags.Input = None,
    output: flags.Output = None,
    host: flags.Host = None,
    port: flags.Port = None,
    api_endpoint: flags.Endpoint = None,
    tls_cert: flags.TlsCert = None,
    tls_key: flags.TlsKey = None,
    format_: flags.Format = None,
    save_mask: flags.SaveMask = None,
    model: flags.Model = None,
    video_codec: flags.Codec = None,
    video_preset: flags.Preset = None,
    webhook_allow_private: flags.AllowPrivate = None,
    kubeconfig: flags.Kubeconfig = None,
    namespace: flags.Namespace = None,
    config: flags.Config = None,
    self_check: Annotated[bool, typer.Option(help="Anonymize a sample picture before saying ready.")] = True,
    log_level: flags.LogLevel = "info",
) -> None:
    """Run everything on this machine: API, controller, Ray, model packs. Ctrl-C ends it all."""
    from velum_cli.up import Up  # noqa: PLC0415 - `velum models` must not import a web server

    listen = {"host": host, "port": port, "endpoint": api_endpoint, "tls_cert": tls_cert, "tls_key": tls_key}
    with spoken(log_level):
        flags.check_file("--kubeconfig", kubeconfig)
        settings = flags.load(
            config,
            storage={"input": flags.store_url(input_), "output": flags.store_url(output)},
            api=listen | flags.defaults(anonymize, model, format_, save_mask),
            serving=flags.serving(packs, pack),
            video={"codec": video_codec, "preset": video_preset},
            webhook={"allow_private": webhook_allow_private},
            controller={"namespace": namespace},
        )
        with DataFolder(data.resolve()).locked() as folder:
            asyncio.run(Up(settings, folder, kubeconfig, check=self_check).run())


@app.command()
def anonymize(
    files: Annotated[list[Path], typer.Argument(help="Pictures and videos.", exists=True, dir_okay=False)],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="Folder for the results; for one video also a file (.mp4).")
    ] = Path("anonymized"),
    classes: flags.Classes = None,
    method: Annotated[str, typer.Option("--method", help="blur, pixelate, blacken.")] = "blur",
    gps: Annotated[str, typer.Option("--gps", help="The place in the metadata: keep or strip.")] = "keep",
    lossless: Annotated[
        bool, typer.Option("--lossless", help="Change nothing outside the regions, not even by encoding anew.")
    ] = False,
    cut: Annotated[
        str, typer.Option("--format", help="How pictures are cut for detection: auto, whole, pano:WIDTH or tiles.")
    ] = "auto",
    every: Annotated[
        int, typer.Option("--every", min=1, max=10, help="Of so many frames of a video, one is looked at.")
    ] = 1,
    codec: flags.Codec = None,
    preset: flags.Preset = None,
    pack: flags.Pack = None,
    packs: flags.Packs = None,
    config: flags.Config = None,
) -> None:
    """Anonymize pictures and videos without a server. Exit status 1 when one of them could not be."""
    from velum_cli import anonymize as local  # noqa: PLC0415
    from velum_cli.offer import require_classes, require_ready  # noqa: PLC0415
    from velum_cli.results import is_video, targets  # noqa: PLC0415

    with spoken():
        video = {"codec": codec, "preset": preset}
        settings = flags.load(config, serving=flags.serving(packs, pack), video=video)
        registry, names = _registry(settings), settings.serving.default_packs
        require_ready(registry, names)
        wanted = flags.class_names(classes) or sorted(each.value for each in registry.classes(names))
        goals = targets(files, output)
        require_classes(registry, names, wanted)
        spec = local.spec_of(wanted, method, gps=gps, lossless=lossless, cut=cut)
        one = local.worker(settings, registry.load(names), spec, every, videos=any(map(is_video, files)))
        failed = False
        for source, target in zip(files, goals, strict=True):
            done = one(source, target)
            typer.echo(done.line())
            failed = failed or bool(done.error)
    if failed:
        raise typer.Exit(1)


@models_app.command("list")
def models_list(
    as_json: Annotated[bool, typer.Option("--json", help="The same for programs.")] = False,
    packs: flags.Packs = None,
    config: flags.Config = None,
) -> None:
    """Show the packs: classes, licence, size, measured recall, and whether their weights are here."""
    from velum_cli.models import document, listing  # noqa: PLC0415

    with spoken():
        settings = flags.load(config, serving=flags.serving(packs))
        told, default = _registry(settings).available(), settings.serving.default_packs
        typer.echo(document(told, default) if as_json else listing(told, default))


@models_app.command("fetch")
def models_fetch(
    names: Annotated[list[str], typer.Argument(help="Names of packs.")],
    mirror: Annotated[
        str | None, typer.Option(envvar="VELUM_MIRROR", help="Folder or URL that holds the weights by file name.")
    ] = None,
    packs: flags.Packs = None,
    config: flags.Config = None,
) -> None:
    """Get the weights of packs into the cache; every file's hash is checked. velum-street needs none of that."""
    from velum_cli.models import get  # noqa: PLC0415

    with spoken():
        registry = _registry(flags.load(config, serving=flags.serving(packs)))
        for name in names:
            get(registry, name, cache_folder(), mirror)


@app.command()
def operator(
    kubeconfig: flags.Kubeconfig = None,
    namespace: flags.Namespace = None,
    config: flags.Config = None,
    log_level: flags.LogLevel = "info",
) -> None:
    """Run the operator of a cluster. Settings come from VELUM_… variables and --config."""
    from velum_cli.cluster import run_operator  # noqa: PLC0415

    with spoken(log_level):
        flags.check_file("--kubeconfig", kubeconfig)
        asyncio.run(run_operator(flags.load(config, controller={"namespace": namespace}), kubeconfig))


@app.command()
def ingress(
    kubeconfig: flags.Kubeconfig = None,
    namespace: flags.Namespace = None,
    host: flags.Host = None,
    port: flags.Port = None,
    api_endpoint: flags.Endpoint = None,
    tls_cert: flags.TlsCert = None,
    tls_key: flags.TlsKey = None,
    config: flags.Config = None,
    log_level: flags.LogLevel = "info",
) -> None:
    """Run one ingress of a cluster; there may be several. Settings come from VELUM_… variables and --config."""
    from velum_cli.cluster import run_ingress  # noqa: PLC0415

    listen = {"host": host, "port": port, "endpoint": api_endpoint, "tls_cert": tls_cert, "tls_key": tls_key}
    with spoken(log_level):
        flags.check_file("--kubeconfig", kubeconfig)
        asyncio.run(run_ingress(flags.load(config, api=listen, controller={"namespace": namespace}), kubeconfig))


@app.command()
def adopt(
    data: Annotated[Path | None, typer.Option("--data", help="Data folder of a `velum up`; else a cluster's.")] = None,
    input_: flags.Input = None,
    output: flags.Output = None,
    kubeconfig: flags.Kubeconfig = None,
    namespace: flags.Namespace = None,
    config: flags.Config = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only tell.")] = False,
) -> None:
    """Make storage this installation's alone, after one that is gone: else forgotten files in it are never removed."""
    from velum_cli import adopt as adoption  # noqa: PLC0415

    with spoken():
        flags.check_file("--kubeconfig", kubeconfig)
        named = {"input": flags.store_url(input_), "output": flags.store_url(output)}
        settings = flags.load(config, storage=named, controller={"namespace": namespace})
        if data is not None:
            from velum_cli.local import with_folders  # noqa: PLC0415 - knows Ray, which the operator's image has not

            settings = with_folders(settings, DataFolder(data.resolve()))
        asyncio.run(adoption.adopt(settings, kubeconfig, data, yes=yes))


def main() -> None:
    """Run the command; Ctrl-C during start-up ends without a traceback, and so does a package that is not here."""
    try:
        app()
    except ModuleNotFoundError as error:  # an image, or an installation, holds the packages of its own commands only
        sys.stderr.write(f"velum: this command needs {error.name}, which is not installed here: pip install '{ALL}'\n")
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        sys.stderr.write("velum: interrupted\n")
        os._exit(130)


if __name__ == "__main__":
    main()
