"""What a large picture takes beside its file: twice its samples, whatever the format. Measured in its own process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

WIDTH, HEIGHT = 6000, 4000
SHARE = 2.4
"""Times the samples. Decoders that work in whole pictures (progressive JPEG, a turn, libpng through cv2) hold two."""
REST = 32 * 2**20
"""Bytes for libraries that are loaded on the way, bands, masks and what the allocator keeps."""
FORMS: dict[str, tuple[str, list[int]]] = {
    "JPEG": (".jpg", []),
    "progressive JPEG": (".jpg", [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]),
    "PNG": (".png", [cv2.IMWRITE_PNG_COMPRESSION, 1]),
    "TIFF": (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 1]),
    "deflated TIFF": (".tiff", [cv2.IMWRITE_TIFF_COMPRESSION, 8]),
}
MEASURED = """
import json, sys
import numpy as np
from velum_pipeline import pipeline
from velum_pipeline.detections import Detections
from velum_pipeline.options import ClassOptions, Method, ObjectClass, Options

def detect(pictures, options):
    height, width = pictures[0].shape[:2]
    corners = np.random.default_rng(0).integers(0, (width - 200, height - 200), (10, 2))
    boxes = np.concatenate([corners, corners + 200], axis=1).astype(np.float32)
    return [Detections(boxes, np.ones(10, np.float32), np.array(list(ObjectClass) * 2 + ["face", "face"], object))]

def peak():  # not getrusage: it counts what the parent had when it forked
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

before = peak()
with open(sys.argv[1], "rb") as file:
    data = file.read()
options = Options(Method.BLUR, {each: ClassOptions.default(each) for each in ObjectClass})
product = pipeline.anonymize(data, "a", detect, options)
found = sum(product.counts.values())
print(json.dumps({"took": peak() - before - len(data), "found": found, "bytes": len(product.picture)}))
"""


@pytest.fixture(scope="module")
def picture() -> np.ndarray[Any, Any]:
    tile = np.random.default_rng(0).integers(0, 255, (250, 250, 3)).astype(np.uint8)
    return np.tile(cv2.GaussianBlur(tile, (0, 0), 2), (HEIGHT // 250, WIDTH // 250, 1))


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("form", FORMS)
def test_the_peak_beside_the_file(tmp_path: Path, picture: np.ndarray[Any, Any], form: str) -> None:
    extension, settings = FORMS[form]
    path = tmp_path / f"large{extension}"
    assert cv2.imwrite(str(path), picture, settings)
    ran = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True)
    told = json.loads(ran.stdout)
    assert told["found"] == 10
    assert told["bytes"] > 100_000
    assert told["took"] > picture.nbytes, "less than the samples themselves: it was not measured"
    assert told["took"] <= SHARE * picture.nbytes + REST, f"{told['took'] / picture.nbytes:.2f} times the samples"
