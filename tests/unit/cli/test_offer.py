"""What one machine offers: the same `default` everywhere, a model for each ready pack, ensembles by name."""

from pathlib import Path

import pytest
import yaml

from support.labelled import bright_network, write_pack
from velum.api.model import AnonymizationModel, ModelSpec
from velum.errors import InvalidInput
from velum.settings import Settings
from velum_cli.offer import VIDEO_MODEL, offered, require_classes, require_ready
from velum_pipeline.detect.errors import ClassNotFound
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs import PackNotFound, WeightsMissing
from velum_pipeline.packs.registry import PackRegistry

DEFAULT = ("velum-street",)


@pytest.fixture
def registry(tmp_path: Path) -> PackRegistry:
    """The shipped pack, one more that is ready, and the others that ship without weights."""
    write_pack(tmp_path / "bright", bright_network())
    return PackRegistry((tmp_path,))


def test_the_settings_name_the_shipped_pack(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.load().serving.default_packs == DEFAULT
    monkeypatch.setenv("VELUM_SERVING_DEFAULT_PACKS", "velum-street, bright")
    assert Settings.load().serving.default_packs == ("velum-street", "bright")


def test_the_shipped_pack_is_ready_with_nothing_fetched_and_finds_everything() -> None:
    registry = PackRegistry()
    require_ready(registry, DEFAULT)
    assert registry.classes(DEFAULT) == set(ObjectClass)


def test_default_is_what_it_is_whatever_else_is_ready(registry: PackRegistry) -> None:
    offer = offered(registry, DEFAULT, "default", ())
    models = dict(offer.models(cores=4))
    assert list(models) == ["default", "object-detection-v2", "bright", "velum-street"]
    assert models["default"].packs == DEFAULT
    assert models["default"].classes == ("face", "license-plate", "person", "vehicle")
    assert models["bright"].packs == ("bright",)
    assert models["bright"].classes == ("face",)
    assert models["default"].threads == 4
    assert models["default"].scale.min_replicas == 0, "an idle model gives its memory back"
    assert offer.classes == tuple(ObjectClass)


def test_an_ensemble_is_default_where_it_is_asked_for(registry: PackRegistry) -> None:
    models = dict(offered(registry, ("velum-street", "bright", "bright"), "default", ()).models(cores=1))
    assert models["default"].packs == ("velum-street", "bright")
    assert models["default"].classes == ("face", "license-plate", "person", "vehicle")
    assert models["velum-street"].packs == ("velum-street",)


def test_the_vendors_model_for_videos_is_there_by_its_name(registry: PackRegistry) -> None:
    model = dict(offered(registry, DEFAULT, "default", ()).models(cores=2))[VIDEO_MODEL]
    assert (model.packs, model.classes) == (("velum-street",), ("face", "license-plate"))
    assert model.video.detect_every == 3
    assert model.scale.min_replicas == 0, "it costs nothing until it is asked for"
    assert ModelSpec.model_validate(model.wire()) == model
    everywhere = dict(offered(registry, ("bright",), "default", ()).models(cores=2))
    assert everywhere[VIDEO_MODEL] == model, "whatever `default` is made of"


def test_the_sample_for_clusters_is_the_same_model() -> None:
    sample = Path(__file__).resolve().parents[3] / "crds" / "samples" / f"model-{VIDEO_MODEL}.yaml"
    cluster = AnonymizationModel.model_validate(yaml.safe_load(sample.read_text()))
    here = dict(offered(PackRegistry(), DEFAULT, "default", ()).models(cores=2))[VIDEO_MODEL]
    assert cluster.name == VIDEO_MODEL
    assert (cluster.spec.packs, cluster.spec.classes, cluster.spec.video) == (here.packs, here.classes, here.video)


def test_requests_may_use_the_model_for_videos_when_they_name_none(registry: PackRegistry) -> None:
    assert offered(registry, DEFAULT, VIDEO_MODEL, ()).classes == ("face", "license-plate")
    assert offered(registry, DEFAULT, VIDEO_MODEL, ("face",)).classes == ("face",)
    with pytest.raises(InvalidInput, match="-a: person: the model object-detection-v2 finds face, license-plate only"):
        offered(registry, DEFAULT, VIDEO_MODEL, ("face", "person"))
    with pytest.raises(InvalidInput, match="-a: 'hat' is not a class"):
        offered(registry, DEFAULT, VIDEO_MODEL, ("hat",))


def test_there_is_no_model_for_videos_where_its_pack_finds_less_or_another_has_its_name(tmp_path: Path) -> None:
    write_pack(tmp_path / "less" / "velum-street", bright_network(), "velum-street")
    less = offered(PackRegistry((tmp_path / "less",)), DEFAULT, "default", ())
    assert VIDEO_MODEL not in dict(less.models(cores=1))
    assert not less.video
    write_pack(tmp_path / "own" / "mine", bright_network(), VIDEO_MODEL)
    own = dict(offered(PackRegistry((tmp_path / "own",)), DEFAULT, "default", ()).models(cores=1))
    assert own[VIDEO_MODEL].packs == (VIDEO_MODEL,)


def test_requests_may_be_kept_to_some_classes(registry: PackRegistry) -> None:
    assert offered(registry, DEFAULT, "default", ("vehicle", "face")).classes == ("face", "vehicle")
    assert offered(registry, DEFAULT, "bright", ()).classes == ("face",)
    assert offered(registry, DEFAULT, "a-clusters-own", ("face",)).classes == (), "nothing is known of it"


@pytest.mark.parametrize(("model", "instead"), [("bright", " instead of `--model bright`"), ("default", "")])
def test_a_class_that_the_model_does_not_find_is_refused_with_the_pack_that_does(
    registry: PackRegistry, model: str, instead: str
) -> None:
    with pytest.raises(ClassNotFound, match=f"use `--pack bright --pack velum-street`{instead}$"):
        offered(registry, ("bright",), model, ("face", "vehicle"))


def test_a_pack_that_has_to_be_fetched_first_is_named_with_its_flag(tmp_path: Path) -> None:
    """A folder's pack stands in for the shipped one, and finds less."""
    write_pack(tmp_path / "velum-street", bright_network(), "velum-street")
    with pytest.raises(ClassNotFound, match="`velum models fetch street` and use `--pack velum-street --pack street`"):
        require_classes(PackRegistry((tmp_path,)), DEFAULT, ("vehicle",))


def test_a_pack_cannot_take_the_place_of_the_model_default(tmp_path: Path) -> None:
    """Requests that name no model would be answered by it, whatever the settings say."""
    write_pack(tmp_path / "mine", bright_network(), "default")
    with pytest.raises(InvalidInput, match="--packs: a pack cannot be named 'default'"):
        offered(PackRegistry((tmp_path,)), DEFAULT, "default", ())


def test_no_class_at_all_is_named(registry: PackRegistry) -> None:
    with pytest.raises(InvalidInput, match="-a: 'hat' is not a class; there are face, license-plate"):
        offered(registry, DEFAULT, "default", ("hat",))


def test_a_default_without_weights_is_refused_with_the_command_that_gets_them(registry: PackRegistry) -> None:
    with pytest.raises(WeightsMissing, match="velum models fetch centerface"):
        offered(registry, ("centerface",), "default", ())


def test_a_default_of_unknown_or_no_packs_is_refused(registry: PackRegistry) -> None:
    with pytest.raises(PackNotFound, match="zebra"):
        offered(registry, ("velum-street", "zebra"), "default", ())
    with pytest.raises(InvalidInput, match="--pack"):
        offered(registry, (), "default", ())
