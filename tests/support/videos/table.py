"""The clips."""

from __future__ import annotations

from fractions import Fraction

from support.videos.clip import Clip, Sound, Words

NTSC = Fraction(30000, 1001)
FILM = Fraction(24000, 1001)
BT601, BT709, BT2020_PQ, BT2020_HLG = (1, 6, 6, 6), (1, 1, 1, 1), (1, 9, 16, 9), (1, 9, 18, 9)
FULL_709 = (2, 1, 1, 1)
AAC = Sound("aac")
B_FRAMES = {"bf": "3", "b-pyramid": "normal"}
HDR = (
    "hdr10=1:repeat-headers=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
    "L(10000000,1):max-cll=1000,400"
)
TAGS = {"title": "Ein Film", "creation_time": "2026-05-01T10:00:00.000000Z", "comment": "unterwegs"}


def uneven(number: int) -> int:
    """Milliseconds at which frame ``number`` of a clip with a varying rate is shown."""
    return 33 * number + 7 * (number % 3) + 150 * (number // 10)


_ALL = [
    Clip("h264.mp4", "H.264, one sound track", sounds=(AAC,)),
    Clip("h264-bframes.mp4", "B-frames, pyramid", options=B_FRAMES, sounds=(AAC,)),
    Clip("h264-open-gop.mp4", "open GOP", options=B_FRAMES | {"x264-params": "open-gop=1"}, frames=40),
    Clip("h264-vfr.mp4", "variable rate", clock=Fraction(1, 1000), pts=uneven, options=B_FRAMES, sounds=(AAC,)),
    Clip("h264-10bit.mp4", "10 bits", pixel_format="yuv420p10le", colour=BT709),
    Clip("h264-422-10bit.mov", "4:2:2, 10 bits, QuickTime, PCM", pixel_format="yuv422p10le",
         sounds=(Sound("pcm_s16le"),)),
    Clip("h264-444.mp4", "4:4:4", pixel_format="yuv444p"),
    Clip("hevc-gray.mp4", "grey", "libx265", "gray"),
    Clip("h264-90.mp4", "turned by 90 degrees", turn=(90, False), sounds=(AAC,)),
    Clip("h264-mirrored.mp4", "mirrored", turn=(0, True)),
    Clip("h264-odd.mkv", "odd size, 4:4:4", pixel_format="yuv444p", size=(161, 121)),
    Clip("h264-tff.mp4", "interlaced, top field first", interlaced=True, options={"x264-params": "tff=1"},
         size=(160, 128)),
    Clip("hevc-hdr10.mp4", "HDR10: PQ, mastering display, light level", "libx265", "yuv420p10le", colour=BT2020_PQ,
         options={"x265-params": HDR}),
    Clip("vp9.webm", "VP9, Opus", "libvpx-vp9", sounds=(Sound("libopus"),)),
    Clip("av1.mp4", "AV1", "libsvtav1"),
    Clip("mjpeg.avi", "Motion JPEG, full range, PCM", "mjpeg", "yuvj420p", sounds=(Sound("pcm_s16le"),)),
    Clip("mpeg4.avi", "MPEG-4 part 2, MP3", "mpeg4", sounds=(Sound("libmp3lame"),)),
    Clip("prores.mov", "ProRes 4:2:2, 10 bits", "prores_ks", "yuv422p10le", colour=BT709, options={"profile": "2"}),
    Clip("h264.ts", "transport stream, B-frames", options=B_FRAMES, sounds=(AAC,)),
    Clip("tracks.mkv", "three sound tracks, two subtitle tracks, chapters, tags", chapters=True, tags=TAGS,
         sounds=(AAC, Sound("flac", "deu", default=False), Sound("libopus", "fra", default=False)),
         subtitles=(Words("subrip"), Words("ass", "deu"))),
    Clip("tracks.mp4", "two sound tracks, subtitles, data, chapters, tags", chapters=True,
         tags=TAGS | {"location": "+48.1372+011.5756/"}, sounds=(AAC, Sound("libmp3lame", "deu", default=False)),
         subtitles=(Words("mov_text"),), data=("gpmd",)),
]  # fmt: skip
CLIPS = {clip.name: clip for clip in _ALL}
