"""A copy of a video with its labels written into the picture.

Every frame keeps its time; sound is copied as it is, where the new file's container can hold it.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.stream import Disposition

from streamcls.errors import ConfigError, SourceError, StreamclsError
from streamcls.offline.predict import VideoPrediction
from streamcls.offline.recordings import LabelEvent

SUFFIX = ".mp4"
_ENCODERS = ("libx264", "libopenh264", "mpeg4")
_WHITE, _YELLOW, _BLACK = (255, 255, 255), (0, 220, 255), (0, 0, 0)  # blue first, as OpenCV draws


def annotate(prediction: VideoPrediction, out: Path) -> None:
    """Write the video again: the current window's best label, and below it the open events.

    Raises:
        SourceError: the video cannot be read.
        ConfigError: `out` cannot be written.
    """
    unfinished = out.with_name(f".{os.getpid()}.{out.name}")
    try:
        with av.open(f"file:{prediction.path.absolute()}", metadata_errors="replace") as source:
            try:
                target = av.open(str(unfinished), "w", format="mp4")
            except (av.FFmpegError, OSError) as error:
                raise ConfigError(f"{out} cannot be written: {error.strerror}") from None
            with target:
                _copy(source, target, _Captions(prediction))
        os.replace(unfinished, out)
    except av.FFmpegError as error:
        raise SourceError(f"{prediction.path} cannot be written anew: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


class _Captions:
    """What there is to say at each instant, in seconds from the first frame."""

    def __init__(self, prediction: VideoPrediction) -> None:
        self._windows = prediction.windows
        self._centres_s = [(window.start_s + window.end_s) / 2 for window in self._windows]
        self._events = prediction.events

    def at(self, time_s: float) -> list[tuple[str, tuple[int, int, int]]]:
        """Lines of text with their colours."""
        nearest = self._windows[self._nearest(time_s)]
        open_events = [event for event in self._events if event.start_s <= time_s <= event.end_s]
        lines = [(f"{nearest.label} {nearest.score:.2f}", _WHITE)]
        return lines + [(event.label.upper(), _YELLOW) for event in open_events]

    def _nearest(self, time_s: float) -> int:
        after = bisect_right(self._centres_s, time_s)
        around = range(max(0, after - 1), min(len(self._centres_s), after + 1))
        return min(around, key=lambda index: abs(self._centres_s[index] - time_s))


def _copy(source: Any, target: Any, captions: _Captions) -> None:
    """Pictures drawn on and encoded again, sound as it is, in the order of the source."""
    video = next(s for s in source.streams.video if not s.disposition & Disposition.attached_pic)
    video.codec_context.thread_type = "AUTO"
    sound = next(iter(source.streams.audio), None)
    kept = None
    if sound is not None:
        with suppress(ValueError, av.FFmpegError):  # a codec that an MP4 cannot hold
            kept = target.add_stream_from_template(sound)
    drawn: Any = None
    first_s: float | None = None
    for packet in source.demux([video] if kept is None else [video, sound]):
        if packet.stream is sound:
            if packet.dts is not None:
                packet.stream = kept
                target.mux(packet)
            continue
        for picture in _pictures(packet):
            if drawn is None:
                drawn = _encoder(target, video, picture)
                first_s = picture.time
            target.mux(drawn.encode(_drawn(picture, captions, picture.time - (first_s or 0.0))))
    if drawn is not None:
        target.mux(drawn.encode(None))
