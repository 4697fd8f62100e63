"""What docs/models.md shows of sets and peers is what is read."""

from __future__ import annotations

import json
import re
from pathlib import Path

from evaluation.annotations import ANNOTATIONS, read_entries
from evaluation.peers import PeerAnswer

PAGE = Path(__file__).resolve().parents[4] / "docs" / "models.md"


def test_the_examples(tmp_path: Path) -> None:
    annotations, answer = re.findall(r"```json\n(.*?)```", PAGE.read_text(), re.DOTALL)
    (tmp_path / ANNOTATIONS).write_text(annotations)
    (entry,) = read_entries(tmp_path / ANNOTATIONS, "example")
    assert entry.objects[0].polygons
    shown = {key for each in json.loads(annotations) for key in [*each, *each["objects"][0]]}
    assert shown == {*type(entry).model_fields, *type(entry.objects[0]).model_fields}
    said = PeerAnswer.model_validate_json(answer)
    assert set(json.loads(answer)) == set(PeerAnswer.model_fields)
    assert set(json.loads(answer)["detections"][0]) == set(type(said.detections[0]).model_fields)
