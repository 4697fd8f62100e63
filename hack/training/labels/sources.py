"""The sets of pictures: which may teach weights that are shipped, under which licence, and what is wrong with each.

A set is used only where its publisher states a licence that allows it, and without the pictures that ``left_out.toml``
names. The model card lists these sets and their licences; a test holds it to this table.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

LEFT_OUT = Path(__file__).with_name("left_out.toml")


@dataclass(frozen=True)
class Source:
    """One set.

    address: where it was published; what was taken from it. licence: as its publisher states it. remarks: what a user
    of the weights should know, label defects first. video: neighbouring files are frames of one drive. holes: classes
    that are labelled with gaps, so that a teacher's find is no background. strict: classes that teachers take much else
    for in these pictures. block, every: of so many blocks of so many neighbouring files one is for validation.
    """

    name: str
    address: str
    licence: str
    remarks: str
    video: bool = False
    holes: tuple[str, ...] = ()
    strict: tuple[str, ...] = ()
    block: int = 8
    every: int = 10


@dataclass(frozen=True)
class Refused:
    """A set that weights that are shipped must not learn from."""

    name: str
    reason: str


SOURCES = (
    Source(
        "highway_id",
        "Roboflow universitas-tidar/highway-object-detection v40, from adeirman46/Level2-FSD@2c9d3acc on GitHub",
        "CC BY 4.0",
        "Indonesian roads, mostly one main vehicle each; bicycles unlabelled, some far vehicles and riders missing. "
        "File names are those of social networks' exports (35: of Unsplash) and many photos carry their hobby "
        "photographer's name, so the uploader's right to license every photo is unproven.",
        strict=("face", "license-plate"),
    ),
    Source(
        "ccp_street",
        "Clothing Co-Parsing (Yang, Luo, Lin, CVPR 2014), bearpaw/clothing-co-parsing@fe34fb77 on GitHub",
        "Apache-2.0",
        "Street fashion, one centred person each; the person's outline includes bags. Faces are cut from labels of "
        "skin and hair, a few per cent with some neck, and are missing for people far behind.",
    ),
    Source(
        "coco_tiny",
        "a part of COCO 2017, zzowenzz/COCO_Tiny@e7a689f7 on GitHub",
        "annotations CC BY 4.0, photos Creative Commons as on Flickr",
        "Crowds are neither objects nor background. Two fifths show no person or vehicle.",
        strict=("license-plate",),
        block=4,
        every=4,
    ),
    Source(
        "openimages_lp",
        "a part of Open Images, Roboflow samrat-sahoo/license-plates-f8vsn v3, TechKhid/LicensePlateDetection@3cfcd736",
        "annotations CC BY 4.0, photos CC BY 2.0",
        "Published squeezed to a square and unsqueezed to 4:3 here, the true aspect is unknown. Some badges are "
        "labelled as plates; some far plates and cars are missing.",
        holes=("license-plate", "vehicle"),
        strict=("face",),
    ),
    Source(
        "plates_romania",
        "RobertLucian/license-plate-dataset@f00f309e on GitHub, its training part",
        "MIT",
        "Frames of dashcam drives, mostly dusk and night, with a magenta cast; only readable plates are labelled.",
        video=True,
        strict=("face",),
        block=16,
        every=8,
        holes=("license-plate",),
    ),
    Source(
        "faces_maskon",
        "Kaggle andrewmvd/face-mask-detection, from marellanoc/MaskON@b6c6b2da on GitHub",
        "CC0",
        "News pictures, mostly masked faces in East Asia; blurred and turned faces are often unlabelled.",
        holes=("face",),
    ),
    Source(
        "indoor_bg",
        "zpf1452233/mAP@29a52776 on GitHub",
        "Apache-2.0",
        "A robot's views of a flat without people: background only.",
        strict=("face", "license-plate"),
    ),
)

REFUSED = (
    Refused("camvid", "published for research, without a licence"),
    Refused("human_seg_graz", "no licence stated; the pictures are research data"),
    Refused("plates_us_rf", "stated CC BY 4.0, but collected from image searches, with stock-photo marks"),
)


def left_out(path: Path = LEFT_OUT) -> Mapping[str, Mapping[str, str]]:
    """For each set, the files that are not used and why."""
    entries = tomllib.loads(path.read_text()).get("picture", [])
    named: dict[str, dict[str, str]] = {}
    for entry in entries:
        named.setdefault(entry["set"], {})[entry["file"]] = entry["reason"]
    return named
