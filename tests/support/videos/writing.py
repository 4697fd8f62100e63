"""Writes a clip with PyAV, the same bytes every time."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter

from support.videos.clip import Clip, Sound, Words
from support.videos.scene import scene
from velum_pipeline.video.scheduling import ordinary_scheduling

MUXERS = {"mp4": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm", "avi": "avi", "ts": "mpegts"}
ENCODER_THREADS = 2

X265 = "log-level=none:pools=none:frame-threads=1"
"""Quiet, and in one thread: with several x265 4.2 was seen to wait for itself for ever, once in thousands of clips."""

SOUND_RATE = 48000
HZ = 440
DATA_STEPS = 5


def write(clip: Clip, path: Path) -> Path:
    """The clip as a file."""
    muxer = MUXERS[clip.name.rsplit(".", 1)[1]]
    with av.open(str(path), "w", format=muxer, options={"fflags": "+bitexact", **clip.mux}) as out:
        out.metadata.update(clip.tags)
        seconds = float(clip.frames / clip.rate)
        videos = [_video_stream(out, clip, default=not clip.second_video)]
        if clip.second_video:
            videos.append(_video_stream(out, clip, default=True))
        sounds = [_sound_stream(out, each) for each in clip.sounds]
        words = [_word_stream(out, each) for each in clip.subtitles]
        data = [_data_stream(out, tag) for tag in clip.data]
        cover = _cover_stream(out) if clip.cover else None
        if clip.chapters:
            out.set_chapters(_chapters(seconds))
        with ordinary_scheduling():
            packets = [packet for stream in videos for packet in _pictures(clip, stream)]
        for stream, sound in zip(sounds, clip.sounds, strict=True):
            packets += _tones(stream, sound, seconds)
        if cover is not None:
            packets += _cover(cover, clip)
        out.start_encoding()
        for stream, each in zip(words, clip.subtitles, strict=True):
            packets += _lines(stream, each)
        for stream in data:
            packets += _samples(stream, seconds)
        for packet in sorted(packets, key=_time):
            out.mux(packet)
    return path


def _time(packet: Any) -> Fraction:
    return Fraction(packet.dts if packet.dts is not None else 0) * packet.time_base


def _video_stream(out: Any, clip: Clip, *, default: bool) -> Any:
    stream = out.add_stream(clip.codec, rate=clip.rate, options={"threads": str(ENCODER_THREADS), **_options(clip)})
    stream.width, stream.height = clip.size
    stream.pix_fmt = clip.pixel_format
    context = stream.codec_context
    context.time_base = clip.time_base
    if clip.colour is not None:
        context.color_range, context.color_primaries, context.color_trc, context.colorspace = clip.colour
    if clip.aspect is not None:
        context.sample_aspect_ratio = clip.aspect
    if clip.interlaced:
        context.flags |= av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
    if clip.turn is not None:
        stream.set_display_rotation(clip.turn[0], hflip=clip.turn[1])
    stream.disposition = av.stream.Disposition.default if default else av.stream.Disposition(0)
    return stream


def _options(clip: Clip) -> dict[str, str]:
    quick = {
        "libx264": {"preset": "ultrafast", "crf": "12", "g": "10", "bf": "0"},
        "libx265": {"preset": "ultrafast", "crf": "12", "g": "10", "x265-params": X265},
        "libsvtav1": {"preset": "12", "crf": "20", "g": "10"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "crf": "15", "b": "0", "g": "10"},
        "libvpx": {"deadline": "realtime", "cpu-used": "8", "b": "800k", "g": "10"},
        "mpeg4": {"g": "10", "qmin": "2", "qmax": "4"},
        "mpeg2video": {"g": "10", "qmin": "2", "qmax": "4"},
        "mjpeg": {"qmin": "2", "qmax": "3"},
        "libx264rgb": {"preset": "ultrafast", "crf": "12", "g": "10"},
    }.get(clip.codec, {})
    given = dict(clip.options)
    if "x265-params" in given:
        given["x265-params"] = f"{X265}:{given['x265-params']}"
    return quick | given


def _pictures(clip: Clip, stream: Any) -> list[Any]:
    packets = []
    reformatter = VideoReformatter()
    for number in range(clip.frames):
        frame = picture(clip, number, reformatter)
        frame.pts, frame.time_base = clip.pts(number), clip.time_base
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def picture(clip: Clip, number: int, reformatter: VideoReformatter) -> av.VideoFrame:
    """The frame that is given to the encoder."""
    drawn = scene(number, *clip.size)
    full = clip.pixel_format.startswith("yuvj") or (clip.colour is not None and clip.colour[0] == ColorRange.JPEG)
    frame = av.VideoFrame.from_ndarray(drawn, "bgr24")
    matrix = {1: "itu709", 9: "bt2020"}.get(clip.colour[3] if clip.colour else 0, "itu601")
    made = reformatter.reformat(
        frame,
        format=clip.pixel_format,
        dst_colorspace=matrix,
        dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
    )
    if clip.colour is not None:
        made.color_range, made.color_primaries, made.color_trc, made.colorspace = clip.colour
    return made


def _sound_stream(out: Any, sound: Sound) -> Any:
    stream = out.add_stream(sound.codec, rate=SOUND_RATE, layout="mono")
    stream.metadata["language"] = sound.language
    stream.disposition = av.stream.Disposition.default if sound.default else av.stream.Disposition(0)
    return stream


def _tones(stream: Any, sound: Sound, seconds: float) -> list[Any]:
    stream.codec_context.open()
    size = stream.codec_context.frame_size or 1024
    form = stream.codec_context.format.name
    packets = []
    for start in range(0, int(seconds * SOUND_RATE), size):
        wave = 0.3 * np.sin(2 * np.pi * HZ * np.arange(start, start + size) / SOUND_RATE)
        kind = np.float32 if form.startswith("flt") else np.int32 if form.startswith("s32") else np.int16
        scale = 1 if kind is np.float32 else np.iinfo(kind).max
        frame = av.AudioFrame.from_ndarray((wave * scale).astype(kind)[None], format=form, layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _word_stream(out: Any, words: Words) -> Any:
    stream = out.add_mux_stream(words.codec)
    stream.metadata["language"] = words.language
    stream.time_base = Fraction(1, 1000)
    return stream


def _lines(stream: Any, words: Words) -> list[Any]:
    packets = []
    for number, (start, end, text) in enumerate(words.lines):
        body = text.encode()
        if words.codec == "mov_text":
            body = len(body).to_bytes(2, "big") + body
        elif words.codec == "ass":
            body = f"{number},0,Default,,0,0,0,,{text}".encode()
        packets.append(_packet(stream, body, start, end))
    return packets


def _data_stream(out: Any, tag: str) -> Any:
    stream = out.add_mux_stream("bin_data", codec_tag=tag)
    stream.time_base = Fraction(1, 1000)
    return stream


def _samples(stream: Any, seconds: float) -> list[Any]:
    edges = np.linspace(0, seconds, DATA_STEPS + 1)
    return [
        _packet(stream, b"DEVC\0\1\0\0" + f"position {index}".encode(), start, end)
        for index, (start, end) in enumerate(pairwise(edges))
    ]


def _packet(stream: Any, body: bytes, start: float, end: float) -> Any:
    packet = av.Packet(body)
    packet.stream = stream
    packet.time_base = Fraction(1, 1000)
    packet.pts = packet.dts = round(1000 * start)
    packet.duration = round(1000 * (end - start))
    packet.is_keyframe = True
    return packet


def _cover_stream(out: Any) -> Any:
    stream = out.add_stream("mjpeg", rate=1)
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
    stream.disposition = av.stream.Disposition.attached_pic
    return stream


def _cover(stream: Any, clip: Clip) -> list[Any]:
    small = cv2.resize(scene(0, *clip.size), (64, 48), interpolation=cv2.INTER_AREA)
    frame = av.VideoFrame.from_ndarray(small, "bgr24").reformat(format="yuvj420p")
    frame.pts, frame.time_base = 0, Fraction(1)
    return [*stream.encode(frame), *stream.encode(None)]


def _chapters(seconds: float) -> list[dict[str, Any]]:
    half = round(500 * seconds)
    return [
        {"id": 0, "start": 0, "end": half, "time_base": Fraction(1, 1000), "metadata": {"title": "Aufbruch"}},
        {"id": 1, "start": half, "end": 2 * half, "time_base": Fraction(1, 1000), "metadata": {"title": "Ankunft"}},
    ]
