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
    Clip("h264-larger.ts", "transport stream, other size", size=(192, 144)),
    Clip("h264-180.mov", "turned by 180 degrees", turn=(180, False)),
    Clip("h264-270.mp4", "turned by 270 degrees", turn=(270, False), size=(176, 120)),
    Clip("h264-90-mirrored.mp4", "turned by 90 degrees and mirrored", turn=(90, True), size=(176, 120)),
    Clip("h264-bff.mkv", "interlaced, bottom field first", interlaced=True, options={"x264-params": "bff=1"},
         size=(160, 128)),
    Clip("h264-film.mkv", "23.976 frames per second", rate=FILM, options=B_FRAMES),
    Clip("h264-5994.mp4", "59.94 frames per second, BT.601", rate=2 * NTSC, colour=BT601, frames=60),
    Clip("h264-full.mp4", "full range, BT.709", colour=FULL_709),
    Clip("h264-aspect.mp4", "samples of 4:3", aspect=Fraction(4, 3)),
    Clip("h264-single.mp4", "a single frame", frames=1),
    Clip("h264-intra.mp4", "key frames only", options={"g": "1"}),
    Clip("h264-long-gop.mkv", "one key frame", options={"g": "250", **B_FRAMES}, frames=60),
    Clip("h264-refresh.ts", "columns refreshed instead of key frames", options={"x264-params": "intra-refresh=1"},
         frames=60),
    Clip("h264-rgb.mp4", "RGB", "libx264rgb", "rgb24"),
    Clip("h264-trimmed.mp4", "edit list hides five frames", hidden=5, options=B_FRAMES | {"g": "20"},
         pts=lambda number: number - 5, sounds=(AAC,)),
    Clip("h264-later.mp4", "begins at 1.5 s", clock=Fraction(1, 1000), pts=lambda number: 1500 + 40 * number,
         sounds=(AAC,)),
    Clip("h264-bframes.avi", "B-frames where no packet says when it is shown", options=B_FRAMES,
         sounds=(Sound("libmp3lame"),)),
    Clip("h264-wrapped.ts", "clock of 33 bits starts again", clock=Fraction(1, 90000),
         pts=lambda number: 2**33 - 36000 + 3600 * number, options=B_FRAMES, mux={"mpegts_copyts": "1"}),
    Clip("hevc.mkv", "HEVC, B-frames, open GOP", "libx265", options={"x265-params": "open-gop=1:bframes=3"}, frames=40,
         sounds=(Sound("libopus"),)),
    Clip("hevc.ts", "HEVC in a transport stream", "libx265", sounds=(AAC,)),
    Clip("hevc-hlg.mov", "HLG, BT.2020, 4:2:2", "libx265", "yuv422p10le", colour=BT2020_HLG),
    Clip("hevc-gray10.mkv", "grey, 10 bits", "libx265", "gray10le"),
    Clip("vp8.webm", "VP8", "libvpx"),
    Clip("vp9-odd.webm", "odd size, 4:2:0", "libvpx-vp9", size=(161, 121)),
    Clip("vp9-hidden.webm", "VP9, hidden frames", "libvpx-vp9",
         options={"auto-alt-ref": "1", "lag-in-frames": "16", "deadline": "good"}),
    Clip("av1-10bit.mkv", "AV1, 10 bits", "libsvtav1", "yuv420p10le", colour=BT2020_PQ,
         options={"crf": "5"}),
    Clip("mjpeg-odd.mov", "Motion JPEG, odd size", "mjpeg", "yuvj420p", size=(161, 121)),
    Clip("mpeg4.mp4", "MPEG-4 part 2, B-frames", "mpeg4", options={"bf": "2"}, sounds=(AAC,)),
    Clip("mpeg4-bframes.avi", "MPEG-4 part 2, B-frames in an AVI", "mpeg4", options={"bf": "2"}),
    Clip("mpeg2.ts", "MPEG-2, interlaced, bottom field first, B-frames, MP2", "mpeg2video", options={"bf": "2"},
         interlaced=True, sounds=(Sound("mp2"),)),
    Clip("prores-4444.mov", "ProRes 4:4:4, 10 bits, opacity", "prores_ks", "yuva444p10le", options={"profile": "4"}),
    Clip("ffv1-12bit.mkv", "FFV1, 12 bits", "ffv1", "yuv420p12le"),
    Clip("cover.mp4", "cover picture", cover=True, sounds=(AAC,), tags={"title": "mit Bild"}),
    Clip("two-videos.mkv", "two video streams, the second is the default", second_video=True),
    Clip("subtitles.webm", "WebVTT", "libvpx-vp9", subtitles=(Words("webvtt"),), sounds=(Sound("libopus"),)),
]  # fmt: skip
CLIPS = {clip.name: clip for clip in _ALL}
