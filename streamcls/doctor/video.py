"""What can be decoded, and on what."""

from collections.abc import Iterator

import av
from av.codec.codec import UnknownCodecError
from av.codec.hwaccel import hwdevices_available

from streamcls.doctor.finding import Finding, Level, Subject
from streamcls.errors import ConfigError
from streamcls.pipeline.sources.hardware import check_accelerator

_CODECS: dict[str, tuple[str, Level]] = {
    "h264": ("H.264", "error"),
    "hevc": ("HEVC", "warning"),
    "av1": ("AV1", "note"),
    "vp9": ("VP9", "note"),
    "mpeg4": ("MPEG-4", "note"),
    "mjpeg": ("MJPEG", "note"),
}
"""What cameras and files come in, and how much is lost where FFmpeg cannot decode it."""

_REMEDY = "pip install --force-reinstall av, whose wheels bring an FFmpeg of their own"


def look(_: Subject) -> Iterator[Finding]:
    """Decoders, RTSP, decoding on a graphics card."""
    lacking = {name for name in _CODECS if not _decodes(name)}
    there = [title for name, (title, _) in _CODECS.items() if name not in lacking]
    if there:
        yield Finding("decoders", "ok", ", ".join(there))
    for name, (title, level) in _CODECS.items():
        if name in lacking:
            yield Finding(title, level, "this FFmpeg has no decoder for it", _REMEDY)
    if "rtsp" in av.formats_available:
        yield Finding("RTSP", "ok", "this FFmpeg can read it")
    else:
        yield Finding("RTSP", "error", "this FFmpeg is built without it", _REMEDY)
    try:
        check_accelerator("cuda")
        yield Finding("hwaccel", "ok", "cuda: a card can decode; [capture] hwaccel takes it")
    except ConfigError:
        known = ", ".join(hwdevices_available()) or "none"
        yield Finding("hwaccel", "note", f"no card decodes; this FFmpeg knows: {known}")


def _decodes(name: str) -> bool:
    try:
        av.Codec(name, "r")
    except UnknownCodecError:
        return False
    return True
