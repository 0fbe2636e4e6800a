"""A copy of a video with its labels written into the picture.

Every frame keeps its time; sound is copied as it is, where the new file's container can hold it.
"""

import os
from bisect import bisect_right
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias, cast

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from streamcls.config import CaptureSettings
from streamcls.errors import ConfigError, SourceError
from streamcls.offline.predict import VideoPrediction
from streamcls.pipeline.sources.decoder import opened, pictures_of, video_in
from streamcls.transforms.timestamps import RecordedTimes

BgrPixels: TypeAlias = npt.NDArray[np.uint8]
Colour: TypeAlias = tuple[int, int, int]

_ENCODERS = ("libx264", "libopenh264", "mpeg4")
_SOUND = frozenset({"aac", "ac3", "alac", "eac3", "flac", "mp3", "opus"})  # what an MP4 can hold
_TIMEOUT_S = (30.0, 30.0)  # to open, and for each read
_WHITE, _YELLOW, _BLACK = (255, 255, 255), (0, 220, 255), (0, 0, 0)


def annotate(prediction: VideoPrediction, out: Path) -> None:
    """Write the video again: the current window's best label, and below it the open events.

    Raises:
        SourceError: the video cannot be read.
        ConfigError: `out` cannot be written.
    """
    unfinished = out.with_name(f".{os.getpid()}.{out.name}")
    try:
        unfinished.touch()
        with (
            opened(f"file:{prediction.path.absolute()}", {}, _TIMEOUT_S) as source,
            av.open(f"file:{unfinished.absolute()}", "w", format="mp4") as target,
        ):
            video = video_in(source, str(prediction.path), CaptureSettings().max_pixels)
            _copy(source, video, target, _Captions(prediction))
        os.replace(unfinished, out)
    except av.FFmpegError as error:
        raise SourceError(f"{prediction.path} cannot be written anew: {error.strerror}") from None
    except OSError as error:
        raise ConfigError(f"{out} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


class _Captions:
    """What there is to say at each instant, in seconds from the first frame."""

    def __init__(self, prediction: VideoPrediction) -> None:
        self._windows = prediction.windows
        self._centres_s = [(window.start_s + window.end_s) / 2 for window in self._windows]
        self._events = prediction.events

    def at(self, time_s: float) -> list[tuple[str, Colour]]:
        """Lines of text with their colours."""
        nearest = self._windows[self._nearest(time_s)]
        open_events = [event for event in self._events if event.start_s <= time_s <= event.end_s]
        lines = [(f"{nearest.label} {nearest.score:.2f}", _WHITE)]
        return lines + [(event.label.upper(), _YELLOW) for event in open_events]

    def _nearest(self, time_s: float) -> int:
        after = bisect_right(self._centres_s, time_s)
        around = range(max(0, after - 1), min(len(self._centres_s), after + 1))
        return min(around, key=lambda index: abs(self._centres_s[index] - time_s))


def _copy(
    source: InputContainer, video: av.VideoStream, target: OutputContainer, captions: _Captions
) -> None:
    """Pictures drawn on and encoded again, sound as it is, in the order of the source."""
    sound = next((s for s in source.streams.audio if s.codec_context.name in _SOUND), None)
    kept = target.add_stream_from_template(sound) if sound else None
    film = _Film(target, video, captions)
    times = RecordedTimes(source, video)
    waiting: list[Packet[Stream]] = []
    for packet in source.demux([video, sound] if sound else [video]):
        if packet.stream is video:
            for picture in pictures_of(cast("Packet[av.VideoStream]", packet), lambda: None):
                film.add(picture, times.of(picture))
        elif packet.dts is not None:
            waiting.append(packet)
        # What is muxed first writes the header, after which no stream can be added.
        if film.has_begun and kept is not None:
            for early in waiting:
                early.stream = kept
                target.mux(early)
            waiting.clear()
    film.end()


class _Film:
    """The new video stream: begun with the first picture, which tells its size."""

    def __init__(self, target: OutputContainer, video: av.VideoStream, captions: _Captions) -> None:
        self._target = target
        self._video = video
        self._captions = captions
        self._stream: av.VideoStream | None = None
        self._time_base = Fraction(0)
        self._first_s = Fraction(0)
        self._last_pts: int | None = None

    @property
    def has_begun(self) -> bool:
        """Whether there was a picture."""
        return self._stream is not None

    def add(self, picture: av.VideoFrame, time_s: Fraction) -> None:
        """Draw on a picture and encode it; one that is not later than the last is left out."""
        pixels = _upright(picture)
        if self._stream is None:
            self._stream = self._begin(pixels)
            self._first_s = time_s
        pts = round(time_s / self._time_base)
        if self._last_pts is not None and pts <= self._last_pts:
            return
        self._last_pts = pts
        _write(pixels, self._captions.at(float(time_s - self._first_s)))
        frame = av.VideoFrame.from_ndarray(pixels, format="bgr24")
        frame.pts, frame.time_base = pts, self._time_base
        self._target.mux(self._stream.encode(frame))

    def end(self) -> None:
        """Write what the encoder still holds."""
        if self._stream is not None:
            self._target.mux(self._stream.encode(None))

    def _begin(self, pixels: BgrPixels) -> av.VideoStream:
        encoder = next((name for name in _ENCODERS if name in av.codecs_available), None)
        if encoder is None:
            raise ConfigError("this PyAV can encode neither H.264 nor MPEG-4; use another format")
        stream = self._target.add_stream(encoder, rate=self._video.average_rate or 25)
        assert isinstance(stream, av.VideoStream)  # of a video codec
        self._time_base = _time_base(self._video, encoder)
        stream.time_base = stream.codec_context.time_base = self._time_base
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p"
        return stream


def _time_base(video: av.VideoStream, encoder: str) -> Fraction:
    own = Fraction(video.time_base or Fraction(1, 1000))
    # MPEG-4 Part 2 counts a second in 16 bits.
    return Fraction(1, 60_000) if encoder == "mpeg4" and own.denominator > 65_535 else own


def _upright(picture: av.VideoFrame) -> BgrPixels:
    """The picture as shown: blue first, uint8 (height, width, 3), both sides even."""
    pixels = np.rot90(picture.to_ndarray(format="bgr24"), round(picture.rotation / 90) % 4)
    height, width = (side // 2 * 2 for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[:height, :width])


def _write(pixels: BgrPixels, lines: Sequence[tuple[str, Colour]]) -> None:
    """Write lines of text into the picture, from its upper left corner down."""
    size = max(0.35, pixels.shape[0] / 600)
    for number, (text, colour) in enumerate(lines, start=1):
        place = (round(12 * size), round(34 * size * number))
        for ink, weight in ((_BLACK, 5), (colour, 2)):  # an outline, to be read on any ground
            cv2.putText(
                pixels,
                text,
                place,
                cv2.FONT_HERSHEY_SIMPLEX,
                size,
                ink,
                max(1, round(weight * size)),
                cv2.LINE_AA,
            )
