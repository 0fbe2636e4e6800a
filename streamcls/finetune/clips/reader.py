"""Clips out of video files, frame for frame what the daemon would build from the same file.

Both sample the file on the grid `t0 + j * frame_interval_s`, where t0 is the time of the first
decoded frame, and both take at each instant the frame showing then.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import Disposition

from streamcls.errors import UnusableSource
from streamcls.finetune.clips.picking import packets_between, picked_frames
from streamcls.frames import ClipArray, RgbImage
from streamcls.transforms import ClipSpec, GridSampler, to_small_rgb
from streamcls.transforms.timestamps import RecordedTimes

# As the daemon plays files: containers only, since a playlist names other files and URLs to fetch.
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,h264,hevc,av1,ivf,obu"
    ",mjpeg,flv,asf,ogg,mxf,nut,dv,gif,yuv4mpegpipe,wtv,rm",
}
# Seeking in a stream without an index lands near its target, and a keyframe may lie long before.
_FURTHER_BACK_S = (0, 2, 10, 30)
# Their packets mostly carry no time, and what FFmpeg puts in its place depends on where it began.
_READ_FROM_THE_START = {"mpeg"}
_READ_S = 30.0  # a file that takes longer for one packet is damaged, or its disk is
_MAX_PIXELS = 8192 * 8192  # a file of 31 KB can claim pictures of gigabytes


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a file holds, by its frames rather than by what its header claims.

    Attributes:
        first_s, last_s: media time of the first decoded frame and of the last frame, seconds.
        num_frames: packets of the video stream, one a frame in common codecs.
        width, height: of the coded picture, pixels.
    """

    path: Path
    first_s: Fraction
    last_s: Fraction
    num_frames: int
    width: int
    height: int

    @property
    def length_s(self) -> Fraction:
        """Seconds from the first frame to the last; a clip must fit into these."""
        return self.last_s - self.first_s


def probe(path: Path) -> VideoInfo:
    """Read a file's packets and decode its first frame.

    Raises:
        UnusableSource: not a video, or without a decodable frame.
    """
    with _open(path) as (container, stream):
        first_s, frame = next(_frames(container, stream), (None, None))
        if first_s is None or frame is None:
            raise UnusableSource(f"{path} holds no frame that can be decoded")
    with _open(path) as (container, stream):
        given = (
            packet.dts if packet.pts is None else packet.pts
            for packet in container.demux(stream)
            if not packet.is_discard
        )
        times = [ticks for ticks in given if ticks is not None]
        last_s = max(times, default=0) * _time_base(stream, path)
    return VideoInfo(path, first_s, last_s, len(times), frame.width, frame.height)


def read_clip(
    path: Path, start_s: Fraction, spec: ClipSpec, *, first_s: Fraction | None = None
) -> ClipArray:
    """Read the clip that starts some time after the file's first frame.

    Only frames that show at the clip's instants are converted, each once. Where the file ends
    before the clip does, its last frame shows on.

    Args:
        start_s: seconds from the first decoded frame, 0 or more.
        first_s: that frame's media time where it is known; else the frame is decoded to learn it.

    Returns:
        uint8, shape (num_frames, height, width, 3), the shorter side being `spec.short_side`.

    Raises:
        UnusableSource: as `probe`; or the picture changes its shape within the clip.
    """
    frames = read_frames(path, start_s, spec, first_s=first_s)
    small: dict[int, RgbImage] = {}
    for frame in frames:
        if id(frame) not in small:
            small[id(frame)] = to_small_rgb(frame, spec)
    pictures = [small[id(frame)] for frame in frames]
    if len({picture.shape for picture in pictures}) > 1:
        raise UnusableSource(f"{path} changes its picture's shape after {float(start_s):.3f} s")
    return np.stack(pictures)


def read_frames(
    path: Path, start_s: Fraction, spec: ClipSpec, *, first_s: Fraction | None = None
) -> list[av.VideoFrame]:
    """The decoded frames that show at a clip's instants; one that shows at several comes again.

    Args and errors are those of `read_clip`.
    """
    with _open(path) as (container, stream):
        if first_s is None:
            first_s = next((time_s for time_s, _ in _frames(container, stream)), None)
            if first_s is None:
                raise UnusableSource(f"{path} holds no frame that can be decoded")
        origin_s, time_base = first_s + start_s, _time_base(stream, path)
        showing = None
        if container.format.name not in _READ_FROM_THE_START:
            showing = _picked(container, stream, origin_s, first_s, time_base, spec)
            if showing is None:
                _seek(container, stream, origin_s, time_base)
                showing = _showing(_frames(container, stream, sought=True), origin_s, spec)
    if showing is None:
        # Some containers seek past their target; from its start every file is readable.
        with _open(path) as (container, stream):
            showing = _showing(_frames(container, stream), origin_s, spec)
    if showing is None:
        raise UnusableSource(f"{path} has no frame at {float(start_s):.3f} s or before")
    return showing


def all_frames(path: Path) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Every frame that can be decoded, with its media time in seconds.

    Raises:
        UnusableSource: as `probe`.
    """
    with _open(path) as (container, stream):
        yield from _frames(container, stream)


def _picked(
    container: InputContainer,
    stream: av.VideoStream,
    origin_s: Fraction,
    first_s: Fraction,
    time_base: Fraction,
    spec: ClipSpec,
) -> list[av.VideoFrame] | None:
    """The frames showing at the clip's instants, if the packets tell which those are."""
    instants = [(origin_s + n * spec.frame_interval_s) // time_base for n in range(spec.num_frames)]
    for back_s in _FURTHER_BACK_S:
        _seek(container, stream, max(first_s, origin_s - back_s), time_base)
        packets = packets_between(container, stream, instants[0], instants[-1])
        if packets or origin_s - back_s <= first_s:
            break
    return picked_frames(container, stream, packets, instants)


def _seek(
    container: InputContainer, stream: av.VideoStream, time_s: Fraction, time_base: Fraction
) -> None:
    """To the keyframe before a time, or so."""
    container.seek(int(time_s / time_base), stream=stream, backward=True, any_frame=False)


def _showing(
    frames: Iterator[tuple[Fraction, av.VideoFrame]], origin_s: Fraction, spec: ClipSpec
) -> list[av.VideoFrame] | None:
    """The frames showing at the clip's instants, or None if they begin after the first."""
    sampler = GridSampler(spec.frame_interval_s, origin_s)
    showing: list[av.VideoFrame] = []
    held: av.VideoFrame | None = None
    for time_s, frame in frames:
        before, now = sampler.push(time_s)
        if held is not None:
            showing += [held] * len(before[: spec.num_frames])
        elif time_s > origin_s:
            return None
        held = frame
        if now and len(showing) < spec.num_frames:
            showing.append(frame)
        if len(showing) >= spec.num_frames:
            return showing[: spec.num_frames]
    if held is None:
        return None
    return showing + [held] * (spec.num_frames - len(showing))


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, av.VideoStream]]:
    """Open a file's first video stream, and name the file in whatever goes wrong."""
    if path.exists() and not path.is_file():
        # Opening a pipe would block for ever.
        raise UnusableSource(f"{path} is not a file")
    try:
        with av.open(
            f"file:{path.absolute()}",
            options=_OPTIONS,
            timeout=(_READ_S, _READ_S),
            metadata_errors="replace",
        ) as container:
            yield container, _video_in(container, path)
    except (av.FFmpegError, OSError, ValueError, IndexError, ArithmeticError) as error:
        raise UnusableSource(f"{path} cannot be read as a video: {_short(error)}") from None


def _video_in(container: InputContainer, path: Path) -> av.VideoStream:
    """The first video stream that is no cover art, as the daemon takes it."""
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue
        # PyAV's stubs do not say so, but it is None where FFmpeg has no decoder.
        if stream.codec_context is None:
            raise UnusableSource(f"{path} is of a codec that cannot be decoded here")
        # Workers of the data loader are the parallel part.
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(_MAX_PIXELS)}
        return stream
    raise UnusableSource(f"{path} holds no video")


def _frames(
    container: InputContainer, stream: av.VideoStream, *, sought: bool = False
) -> Iterator[tuple[Fraction, av.VideoFrame]]:
    """Decoded frames with their media times, seconds; damaged packets are passed over.

    After a seek only from the next keyframe on: what comes before it lacks what it is predicted
    from.
    """
    times = RecordedTimes(container, stream)
    last_s: Fraction | None = None
    for packet in container.demux(stream):
        if sought and not packet.is_keyframe:
            continue
        sought = False
        try:
            decoded = packet.decode()
        except av.FFmpegError:
            continue
        for frame in decoded:
            if not isinstance(frame, av.VideoFrame):
                continue
            time_s = times.of(frame)
            if last_s is None or time_s > last_s:
                last_s = time_s
                yield time_s, frame


def _time_base(stream: av.VideoStream, path: Path) -> Fraction:
    if not stream.time_base:
        raise UnusableSource(f"{path} has no time base; remux it to .mp4")
    return Fraction(stream.time_base)


def _short(error: Exception) -> str:
    strerror = getattr(error, "strerror", None)
    return str(strerror or " ".join(str(error).split()) or type(error).__name__)
