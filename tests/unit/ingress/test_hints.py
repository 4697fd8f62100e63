"""What is said about a class that the chosen model does not find."""

from pathlib import Path

from support.samples import model_spec
from support.workshop import open_shop
from velum.shipped import SHIPPED_PACK
from velum_ingress.parameters.table import CLASSES
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs import PackRegistry


async def test_a_class_that_the_model_does_not_serve_is_refused_with_the_way_to_it(tmp_path: Path) -> None:
    async with open_shop(tmp_path, working=False, classes=["face"]) as shop:
        answer = await shop.post(query="face=true&license-plate=true")
        assert answer.status_code == 400
        assert answer.json()["field"] == "license-plate"
        assert "the pack velum-street finds license-plate" in answer.json()["error"]
        await shop.store.put_model("plates", model_spec(classes=["license-plate"]))
        answer = await shop.post(query="face=true&license-plate=true")
        assert "the pack velum-street finds license-plate" in answer.json()["error"]  # that one would refuse the face
        await shop.store.put_model("both", model_spec(classes=["face", "license-plate"]))
        answer = await shop.post(query="face=true&license-plate=true")
        assert answer.json()["error"].endswith("model 'default' serves face only; use model=both")
        assert "velum-street" not in answer.json()["error"]
        answer = await shop.post(query="face=true&license-plate=true&model=both", headers={"x-is-async": "1"})
        assert answer.status_code == 202


def test_the_hinted_pack_ships_and_finds_every_class() -> None:
    assert PackRegistry().get(SHIPPED_PACK).classes == set(CLASSES) == set(ObjectClass)
