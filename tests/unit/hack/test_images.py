"""What images are built from, what of the repository gets into a build, and when one is built again."""

import fnmatch
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from localnode import builder, images, imagetrial

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = ("operator/Dockerfile", "serve/Dockerfile")
TARGETS = {"operator", "ingress", "worker-cpu", "worker-cuda"}


def stages(dockerfile: str) -> dict[str, str]:
    """The text of each stage by its name."""
    parts = re.split(r"^(?=FROM )", (ROOT / dockerfile).read_text(), flags=re.MULTILINE)[1:]
    return {part.splitlines()[0].split()[-1]: part for part in parts}


def lineage(dockerfile: str, target: str) -> str:
    """A target's stage and those that it is made from, as one text."""
    found = stages(dockerfile)
    part = found.get(target, "")
    return part if not part else part + lineage(dockerfile, part.split()[1])


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what images are made from, smaller."""
    scripts = ("serve/finish-packages.sh", "serve/precompile.py")
    for each in (".dockerignore", "pyproject.toml", "LICENSE", "NOTICE", *DOCKERFILES, *scripts):
        (tmp_path / each).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / each, tmp_path / each)
    for name in ("operator/velum/a.py", "operator/velum_operator/b.py", "serve/velum_ingress/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    for name in ("velum_cli", "velum_serve", "velum_pipeline"):
        (tmp_path / "serve" / name).mkdir()
    for name in ("__init__.py", "errors.py", "py.typed"):
        (tmp_path / "serve" / "velum_pipeline" / name).touch()
    return tmp_path


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_all_that_is_copied_is_there_and_let_into_the_build(dockerfile: str) -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    paths = set(images.copied((ROOT / dockerfile).read_text()))
    assert len(paths) > 5
    for path in paths:
        assert (ROOT / path).exists(), path
        assert any(path == each or path.startswith(f"{each}/") for each in allowed), path


def test_nothing_else_is_let_into_a_build() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    used = {each for dockerfile in DOCKERFILES for each in images.copied((ROOT / dockerfile).read_text())}
    for line in lines[1:]:
        if line.startswith("!"):
            assert any(each == line[1:] or each.startswith(f"{line[1:]}/") for each in used), line
    assert [line for line in lines[1:] if fnmatch.fnmatch("serve/velum_cli/__pycache__", line)] == ["**/__pycache__"]


def test_both_files_begin_alike_so_that_layers_are_shared() -> None:
    first, second = map(stages, DOCKERFILES)
    assert first["python"] == second["python"]
    assert first["builder"] == second["builder"]


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_what_is_shipped_is_no_root_and_knows_nothing_of_the_build(dockerfile: str) -> None:
    shipped = {name: lineage(dockerfile, name) for name in stages(dockerfile) if name in TARGETS}
    assert shipped
    for name, text in shipped.items():
        assert text.split("FROM ")[1].rstrip().find("USER 65532:65532") > 0, name
        assert "PIP_" not in text, name
        assert "STOPSIGNAL SIGTERM" in text, name
        assert "org.opencontainers.image.title" in text, name


def test_every_target_is_there() -> None:
    assert {name for dockerfile in DOCKERFILES for name in stages(dockerfile)} >= TARGETS
    for image in images.IMAGES:
        assert image.target in stages(image.dockerfile)
        assert imagetrial.TRIALS[image.name]


def test_torch_and_ray_are_in_the_worker_only() -> None:
    serve, operator = stages("serve/Dockerfile"), stages("operator/Dockerfile")
    assert '"/build[ingress]"' in serve["ingress-packages"]
    assert '"/build[operator]"' in operator["packages"]
    assert '"/build[serve]"' in serve["cpu-packages"]
    assert '"/build[serve,gpu]"' in serve["cuda-packages"]


def test_the_key_follows_what_is_copied_and_nothing_else(tree: Path) -> None:
    operator, ingress, _ = images.IMAGES
    before = images.key(operator, tree), images.key(ingress, tree)
    (tree / "README.md").write_text("new")
    for place in ("operator/velum", "serve/velum_ingress"):
        (tree / place / "__pycache__").mkdir()
        for name in ("a.cpython-311.pyc", "c.f-1.py311.1.nbc"):
            (tree / place / "__pycache__" / name).write_bytes(b"new")
    assert (images.key(operator, tree), images.key(ingress, tree)) == before
    (tree / "serve" / "velum_ingress" / "c.py").write_text("x = 2\n")
    assert images.key(operator, tree) == before[0]
    assert images.key(ingress, tree) != before[1]
    (tree / "pyproject.toml").write_text("[project]\n")
    assert images.key(operator, tree) != before[0]


def test_the_key_follows_a_file_that_is_renamed(tree: Path) -> None:
    operator = images.IMAGES[0]
    before = images.key(operator, tree)
    (tree / "operator" / "velum" / "a.py").rename(tree / "operator" / "velum" / "z.py")
    assert images.key(operator, tree) != before


def test_what_did_not_change_is_not_built(tree: Path, tmp_path: Path) -> None:
    """No builder is asked for: neither root nor buildah is needed for images that are there."""
    environment = {"VELUM_CACHE": str(tmp_path / "cache"), "PATH": ""}
    image = images.IMAGES[0]
    archive = images.folder(environment) / f"operator.dev.{images.key(image, tree)}.tar"
    archive.parent.mkdir(parents=True)
    archive.touch()
    assert images.build(environment, print, [image], tree) == {"localhost/velum/operator:dev": archive}


def test_pips_settings_reach_the_build(tmp_path: Path) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.write_text("authorities")
    told = f":env:.find-links='/none'\nglobal.index-url='https://user:pa%ss@index.example/simple'\nglobal.cert='{authorities}'\n"
    folder = tmp_path / "mounted"
    folder.mkdir()
    settings = builder.pip_configuration(told, {}, folder)
    assert settings.get("global", "index-url") == "https://user:pa%ss@index.example/simple"
    assert settings.get("global", "cert") == "/run/velum-build/authorities.pem"
    assert not settings.has_option("global", "find-links")
    assert (folder / "authorities.pem").read_text() == "authorities"


def test_constraints_reach_the_build(tmp_path: Path) -> None:
    pins, folder = tmp_path / "requirements.txt", tmp_path / "mounted"
    pins.write_text("numpy==2.4.6")
    folder.mkdir()
    settings = builder.pip_configuration(f":env:.constraint='{pins}'", {}, folder)
    assert settings.get("global", "constraint") == "/run/velum-build/constraints.txt"
    assert (folder / "constraints.txt").read_text() == "numpy==2.4.6"


def test_a_builder_that_is_told_no_target_makes_what_is_shipped() -> None:
    for dockerfile in DOCKERFILES:
        last = list(stages(dockerfile).items())[-1]
        assert last[0] == "default"
        assert last[1].split()[1] in TARGETS


def test_authorities_of_the_environment_count_where_pip_names_none(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("authorities")
    settings = builder.pip_configuration("", {"SSL_CERT_FILE": str(tmp_path / "ca.pem")}, tmp_path)
    assert settings.get("global", "cert") == "/run/velum-build/authorities.pem"
    assert not builder.pip_configuration("", {}, tmp_path).has_option("global", "cert")


def test_a_command_that_fails_says_how_its_log_ends(tmp_path: Path) -> None:
    with pytest.raises(builder.BuildFailed, match=r"status 3(.|\n)*no such package"):
        builder.logged(["sh", "-c", "echo no such package; exit 3"], tmp_path / "log", print)


def test_an_image_that_may_write_or_compile_does_not_pass() -> None:
    """That trial is a script: it ends well only where nothing can be written and no tool is there."""
    for wrong in ("touch() { :; }", "touch() { false; }; gcc() { :; }"):
        ended = subprocess.run([*imagetrial.SHELL, wrong + imagetrial.CLOSED], capture_output=True, check=False)
        assert ended.returncode in {3, 4}
    right = "touch() { false; }; command() { false; }"
    ended = subprocess.run([*imagetrial.SHELL, right + imagetrial.CLOSED], capture_output=True, check=False)
    assert ended.returncode == 0
