"""JPEG files of all kinds: coding, chroma, inks, sizes, turns, and everything that cameras put around the picture."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np
from PIL import Image

from support.corpus import metadata as meta
from support.corpus.entry import Entry
from support.corpus.scene import Array, scene
from velum_pipeline.errors import CorruptMedia, TruncatedMedia, UnsupportedMedia
from velum_pipeline.media.orientation import upright

LOSSY = 4.0
"""Mean difference of two rounds of JPEG at quality 90 and 4:2:0 from the drawn scene, with a wide margin: a turned, a
shifted or a miscoloured picture is ten times as far away."""
BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""How an upright picture is turned to be stored with an orientation."""
SAMPLINGS = {"444": 0x111111, "422": 0x211111, "420": 0x221111, "440": 0x121111, "411": 0x411111}


def jpeg(bgr: Array | None = None, **settings: Any) -> bytes:
    """A JPEG by Pillow."""
    settings.setdefault("quality", 92)
    return meta.save(scene() if bgr is None else bgr, "JPEG", **settings)


def sampled(code: int, *extra: int) -> bytes:
    """A JPEG by cv2, which writes more chroma samplings."""
    done, coded = cv2.imencode(
        ".jpg", scene(), [cv2.IMWRITE_JPEG_QUALITY, 92, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, code, *extra]
    )
    assert done
    return bytes(coded)


def segment(code: int, body: bytes) -> bytes:
    """A marker segment."""
    return bytes((0xFF, code)) + (len(body) + 2).to_bytes(2, "big") + body


def with_segments(plain: bytes, *segments: bytes) -> bytes:
    """A JPEG with segments right after its start."""
    return plain[:2] + b"".join(segments) + plain[2:]


def without_jfif() -> bytes:
    """A JPEG without any segment that says what its components mean."""
    coded = jpeg()
    assert coded[2:4] == b"\xff\xe0"
    return coded[:2] + coded[20:]


def exif_segment(block: bytes) -> bytes:
    """An APP1 segment with an EXIF block."""
    return segment(0xE1, b"Exif\0\0" + block)


def inks(inverted: bool, transform: int | None, progressive: bool = False) -> bytes:
    """Four inks that show the scene: cyan, magenta, yellow as the complement of its colours, and some black.

    inverted: as Adobe stores them. transform: the colour transform of the Adobe segment (0 CMYK, 2 YCCK), or None for a
    file without that segment.
    """
    rgb = scene()[..., ::-1].astype(np.float32)
    black = np.full(rgb.shape[:2], 40, np.float32)
    stored = np.dstack([np.clip(rgb / ((255 - black[..., None]) / 255), 0, 255), 255 - black])  # Adobe's: 255 is no ink
    if transform == 2:
        ycc = cv2.cvtColor(255 - stored[..., :3].astype(np.uint8), cv2.COLOR_RGB2YCrCb)[..., [0, 2, 1]]
        stored = np.dstack([ycc, stored[..., 3]])
    raw = stored.astype(np.uint8) if inverted else 255 - stored.astype(np.uint8)
    buffer = io.BytesIO()
    # Pillow inverts what it is given.
    Image.fromarray(255 - raw, "CMYK").save(buffer, "JPEG", quality=95, subsampling=0, progressive=progressive)
    coded = buffer.getvalue()
    at = coded.index(b"\xff\xee")
    length = 2 + int.from_bytes(coded[at + 2 : at + 4], "big")
    assert coded[at + 4 : at + 9] == b"Adobe"
    if transform is None:
        return coded[:at] + coded[at + length :]
    return coded[: at + length - 1] + bytes((transform,)) + coded[at + length :]


def rgb_coded(adobe: bool) -> bytes:
    """A JPEG of red, green and blue planes instead of luminance and chroma."""
    coded = jpeg(keep_rgb=True, subsampling=0, quality=95)
    assert coded[coded.index(b"\xff\xc0") + 10] == ord("R")
    return with_segments(coded, segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")) if adobe else coded


def multi_picture() -> bytes:
    """A file with a multi-picture index, and a second picture (a large preview) behind the first."""
    index = b"MPF\0II*\0\x08\0\0\0" + meta.directory(
        {0xB000: (7, b"0100"), 0xB001: (4, struct.pack("<I", 2)), 0xB002: (7, bytes(32))}, "<", 8
    )
    return with_segments(jpeg(), segment(0xE2, index)) + meta.preview("JPEG", 1.0)


def motion(text: bytes) -> bytes:
    """A motion photo: a video, here a box with a picture in it, behind the end marker."""
    packet = meta.XMP % (b" " + text + b"/>")
    trailer = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42" + b"\0\0\xff\xffmdat" + meta.preview()
    return with_segments(jpeg(), segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet)) + trailer


def extended_xmp() -> bytes:
    """A depth photo: the standard packet names an extended one, which holds the original in base64."""
    digest = b"0123456789ABCDEF0123456789ABCDEF"
    short = meta.XMP % (b' xmpNote:HasExtendedXMP="' + digest + b'"/>')
    longer = meta.xmp_with(b"GImage:Data", meta.preview())
    head = b"http://ns.adobe.com/xmp/extension/\0" + digest + struct.pack(">II", len(longer), 0)
    return with_segments(jpeg(), segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + short), segment(0xE1, head + longer))


def photoshop() -> bytes:
    """Photoshop's resources with its own thumbnail (1036)."""
    body = struct.pack(">IIIIIIHH", 1, 90, 66, 272, 66 * 272, len(meta.preview()), 24, 1) + meta.preview()
    block = b"8BIM\x04\x0c\0\0" + len(body).to_bytes(4, "big") + body
    return with_segments(jpeg(), segment(0xED, b"Photoshop 3.0\0" + block))


def turned(orientation: int, thumbnail: bool, order: str = "<", **settings: Any) -> bytes:
    """The scene stored turned, with the orientation that makes it upright again."""
    stored = upright(scene(), BACK.get(orientation, 1))
    small = meta.save(upright(cv2.resize(scene(), (90, 66)), BACK.get(orientation, 1)), "JPEG") if thumbnail else None
    return with_segments(jpeg(stored, **settings), exif_segment(meta.exif(orientation, small, order)))


def entries() -> Iterator[Entry]:
    """All of them."""
    lossy = partial(Entry, tolerance=LOSSY)
    yield from _coded(lossy)
    yield from _sized(lossy)
    yield from _turned(lossy)
    yield from _surrounded(lossy)
    yield from _hiding(lossy)
    yield from _refused()


def _coded(lossy: Any) -> Iterator[Entry]:
    for quality in (30, 75, 100):
        yield lossy(f"jpeg quality {quality}", partial(jpeg, quality=quality), tolerance=6 if quality == 30 else LOSSY)
    for name, code in SAMPLINGS.items():
        yield lossy(f"jpeg {name}", partial(sampled, code))
        yield lossy(f"jpeg {name} progressive", partial(sampled, code, cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    yield lossy("jpeg optimised", partial(jpeg, optimize=True))
    yield lossy("jpeg progressive, optimised", partial(jpeg, progressive=True, optimize=True))
    yield lossy("jpeg restart markers by blocks", partial(jpeg, restart_marker_blocks=3))
    yield lossy("jpeg restart markers by rows", partial(jpeg, restart_marker_rows=1))
    yield lossy("jpeg restart markers, progressive", partial(jpeg, restart_marker_rows=1, progressive=True))
    yield lossy("jpeg restart markers, 444", partial(sampled, SAMPLINGS["444"], cv2.IMWRITE_JPEG_RST_INTERVAL, 5))
    yield lossy("jpeg RGB planes", partial(rgb_coded, False))
    yield lossy("jpeg RGB planes, Adobe transform 0", partial(rgb_coded, True))
    yield lossy("jpeg without JFIF", without_jfif)
    grey = partial(lossy, mode="L", truth=lambda: cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY))
    for name, settings in (("", {}), (" progressive", {"progressive": True}), (" restart", {"restart_marker_rows": 1})):
        yield grey(f"jpeg grey{name}", partial(jpeg, mode="L", **settings))
    for name, inverted, transform in (("CMYK, Adobe", True, 0), ("CMYK without Adobe", False, None), ("YCCK", True, 2)):
        yield lossy(f"jpeg {name}", partial(inks, inverted, transform), mode="CMYK")
    yield lossy("jpeg CMYK progressive", partial(inks, True, 0, True), mode="CMYK")
    yield lossy("jpeg YCCK progressive", partial(inks, True, 2, True), mode="CMYK")


def _sized(lossy: Any) -> Iterator[Entry]:
    for width, height in (
        (1, 1),
        (1, 9),
        (17, 1),
        (7, 7),
        (8, 8),
        (9, 9),
        (16, 16),
        (17, 33),
        (121, 87),
        (128, 96),
        (127, 95),
    ):
        for name, settings in (
            ("420", {"subsampling": 2}),
            ("444", {"subsampling": 0}),
            ("420 progressive", {"progressive": True}),
        ):
            yield lossy(
                f"jpeg {width} x {height} {name}",
                partial(lambda w, h, s: jpeg(scene(w, h), **s), width, height, settings),
                truth=partial(scene, width, height),
            )


def _turned(lossy: Any) -> Iterator[Entry]:
    shot = partial(lossy, camera=True)
    for orientation in range(1, 9):
        yield shot(
            f"jpeg orientation {orientation} with thumbnail",
            partial(turned, orientation, True),
            planted=1,
            new_thumbnail=True,
        )
        yield shot(
            f"jpeg orientation {orientation}, progressive", partial(turned, orientation, False, progressive=True)
        )
    for orientation in (0, 9, 65535):
        yield shot(f"jpeg orientation {orientation}, which there is not", partial(turned, orientation, False))
    yield shot(
        "jpeg orientation 6, big endian, thumbnail", partial(turned, 6, True, ">"), planted=1, new_thumbnail=True
    )
    yield shot(
        "jpeg orientation 8, 444, restart",
        partial(turned, 8, True, subsampling=0, restart_marker_rows=1),
        planted=1,
        new_thumbnail=True,
    )


def _surrounded(lossy: Any) -> Iterator[Entry]:
    yield lossy("jpeg ICC", partial(jpeg, icc_profile=meta.icc()), icc=meta.icc())
    large = (len(meta.icc()) + 150_000).to_bytes(4, "big") + meta.icc()[4:] + bytes(150_000)
    yield lossy("jpeg ICC in three segments", partial(jpeg, icc_profile=large), icc=large)
    yield lossy("jpeg ICC of another colour space", partial(jpeg, icc_profile=meta.icc("CMYK")))
    grey = meta.icc("GRAY")
    yield lossy(
        "jpeg grey with ICC",
        partial(jpeg, mode="L", icc_profile=grey),
        mode="L",
        icc=grey,
        truth=lambda: cv2.cvtColor(scene(), cv2.COLOR_BGR2GRAY),
    )
    press = meta.icc("CMYK")
    chunk = segment(0xE2, b"ICC_PROFILE\0\1\1" + press)
    yield lossy("jpeg CMYK with ICC", lambda: with_segments(inks(True, 0), chunk), mode="CMYK", icc=press)
    packet = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + meta.PLAIN_XMP)
    yield lossy("jpeg plain XMP", lambda: with_segments(jpeg(), packet), rights=True)
    block = exif_segment(meta.exif())
    yield lossy(
        "jpeg EXIF, XMP, ICC",
        lambda: with_segments(jpeg(icc_profile=meta.icc()), block, packet),
        camera=True,
        rights=True,
        icc=meta.icc(),
    )
    yield lossy("jpeg EXIF without JFIF", lambda: with_segments(without_jfif(), block), camera=True)
    yield lossy("jpeg broken EXIF", lambda: with_segments(jpeg(), exif_segment(meta.exif()[:30])))
    yield lossy("jpeg zeros before the end", lambda: jpeg()[:-2] + bytes(40) + b"\xff\xd9")
    yield lossy("jpeg fill bytes between segments", lambda: with_segments(jpeg(), b"\xff\xff\xff" + block), camera=True)


def _hiding(lossy: Any) -> Iterator[Entry]:
    yield lossy("jpeg multi-picture", multi_picture, planted=1)
    yield lossy("jpeg motion photo", partial(motion, b'Camera:MotionPhoto="1"'), planted=1)
    yield lossy("jpeg micro video", partial(motion, b'GCamera:MicroVideo="1"'), planted=1)
    yield lossy("jpeg extended XMP", extended_xmp, planted=1)
    thumb = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + meta.xmp_with(b"xmpGImg:image", meta.preview(), b"&#xA;"))
    yield lossy("jpeg thumbnail in XMP", lambda: with_segments(jpeg(), thumb), planted=1)
    yield lossy("jpeg Photoshop thumbnail", photoshop, planted=1)
    yield lossy(
        "jpeg JFXX thumbnail", lambda: with_segments(jpeg(), segment(0xE0, b"JFXX\0\x10" + meta.preview())), planted=1
    )
    for form in ("JPEG", "PNG", "WEBP", "TIFF"):
        yield lossy(
            f"jpeg {form} in a comment",
            partial(lambda f: with_segments(jpeg(), segment(0xFE, meta.preview(f))), form),
            planted=1,
        )
        yield lossy(
            f"jpeg {form} behind the end",
            partial(lambda f: jpeg() + bytes(9) + meta.preview(f) + b"\xff\xd9", form),
            planted=1,
        )
    for tag, name in ((0x927C, "maker note"), (0x9286, "user comment"), (0xC7AA, "unknown tag")):
        block = exif_segment(meta.exif(details={tag: (7, b"ASCII\0\0\0" + meta.preview())}))
        yield lossy(f"jpeg preview in the {name}", partial(with_segments, jpeg(), block), planted=1, camera=True)
    raw = cv2.resize(scene(), (16, 12), interpolation=cv2.INTER_AREA).tobytes()
    block = exif_segment(meta.exif(details={0xC001: (7, raw)}, more={0xC002: (1, raw)}))
    yield lossy(
        "jpeg raw samples in unknown tags", lambda: with_segments(jpeg(), block), camera=True, secrets=(raw[:48],)
    )
    second = exif_segment(meta.exif(1, meta.preview()))
    yield lossy(
        "jpeg two EXIF blocks", lambda: with_segments(jpeg(), exif_segment(meta.exif()), second), planted=1, camera=True
    )


def _refused() -> Iterator[Entry]:
    yield Entry("jpeg truncated", lambda: jpeg()[:-600], TruncatedMedia, "end marker")
    yield Entry("jpeg ends in its header", lambda: jpeg()[:300], TruncatedMedia, "first scan")
    yield Entry("jpeg scan cut out", lambda: jpeg()[:-900] + b"\xff\xd9", TruncatedMedia, "remature end")
    yield Entry("jpeg lying header", lambda: _patched(jpeg(), 5, struct.pack(">H", 880)), TruncatedMedia)
    yield Entry("jpeg of 12 bits", lambda: _patched(jpeg(), 4, b"\x0c"), UnsupportedMedia, "12 bit")
    yield Entry("jpeg lossless", lambda: jpeg().replace(b"\xff\xc0", b"\xff\xc3", 1), UnsupportedMedia, "baseline")
    yield Entry("jpeg of no pixels", lambda: _patched(jpeg(), 5, bytes(4)), CorruptMedia, "0 x 0")
    yield Entry("jpeg of two components", lambda: _patched(jpeg(), 9, b"\x02"), UnsupportedMedia, "2 components")


def _patched(coded: bytes, offset: int, value: bytes) -> bytes:
    """With other bytes in the frame header."""
    at = coded.index(b"\xff\xc0") + offset
    return coded[:at] + value + coded[at + len(value) :]
