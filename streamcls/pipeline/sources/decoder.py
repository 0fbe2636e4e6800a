"""One opened container and its video decoder: packets in, pictures out, always closed.

What files and cameras share. Their own rules on limits, pace and errors are in `file` and `rtsp`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import av
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from streamcls.errors import UnusableSource
from streamcls.pipeline.sources.hardware import accelerator

# FFmpeg logs URLs, passwords included, and its log hook takes the GIL on every line.
av.logging.set_level(None)

_LONGEST = 32  # sides to one: beyond any panorama


@contextmanager
def opened(
    url: str, options: dict[str, str], timeout_s: tuple[float, float], hwaccel: str = "none"
) -> Iterator[InputContainer]:
    """Open for reading, with limits in seconds for opening and for each read.

    FFmpeg's own `timeout` option is per socket operation and lets trickling streams pass; PyAV's
    interrupts whatever FFmpeg is doing.

    Raises:
        av.FFmpegError: as FFmpeg gives it, with the whole URL in its text: never let it out.
    """
    # Names and titles need not be UTF-8, and nobody here reads them.
    container = av.open(
        url,
        mode="r",
        options=options,
        timeout=timeout_s,
        metadata_errors="replace",
        hwaccel=accelerator(hwaccel),
    )
    try:
        yield container
    finally:
        container.close()


def video_in(container: InputContainer, name: str, max_pixels: int) -> VideoStream:
    """The first real video stream, set to decode on the calling thread.

    A picture beyond `max_pixels` that was not announced is then an error of decoding.

    Raises:
        UnusableSource: there is none, no decoder for it, or its pictures are too large.
    """
    for stream in container.streams.video:
        if stream.disposition & Disposition.attached_pic:
            continue  # cover art
        # PyAV's stubs do not say so, but it is None where FFmpeg has no decoder.
        if stream.codec_context is None:
            raise UnusableSource(f"{name} is of a codec that cannot be decoded here")
        check_declared(stream, name, max_pixels)
        # Many streams share the machine: one thread each is cheapest, and holds no frames back.
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"max_pixels": str(max_pixels)}
        return stream
    held = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
    raise UnusableSource(f"{name} holds no video, only {held}; check `url`")


def check_declared(stream: VideoStream, name: str, max_pixels: int) -> None:
    """As `check_size`, of the size that the decoder expects, pictures or none.

    It knows the size of pictures that it refuses: where nothing decodes any more, here is why.
    """
    check_size(stream.codec_context.width, stream.codec_context.height, name, max_pixels)


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Refuse a picture before it takes memory: a file of 31 KB can claim one of gigabytes.

    So can a strip of a picture, which grows when its short side is scaled to that of a clip.

    Raises:
        UnusableSource: it has more than `max_pixels`, or one side much longer than the other.
    """
    if width * height > max_pixels:
        raise UnusableSource(
            f"{name} has pictures of {width} x {height}, more than `max_pixels` = {max_pixels}"
            " in [capture] allows"
        )
    if max(width, height) > _LONGEST * min(width, height) > 0:
        raise UnusableSource(
            f"{name} has pictures of {width} x {height}; no side may be longer than {_LONGEST}"
            " times the other"
        )


def describe(stream: VideoStream) -> str:
    """What a stream says of itself, for a person: codec, pixel format, declared rate."""
    codec = stream.codec_context
    profile = f" {codec.profile}" if codec.profile else ""
    rate = f", declares {float(stream.average_rate):g} fps" if stream.average_rate else ""
    return f"{codec.name}{profile}, {codec.pix_fmt or 'unknown format'}{rate}"


def pictures_of(packet: "Packet[VideoStream]", on_error: Callable[[], None]) -> list[av.VideoFrame]:
    """Decode one packet; a corrupt one gives nothing, and the next is tried all the same."""
    try:
        pictures = packet.decode()
    except av.FFmpegError:
        on_error()
        return []
    for picture in pictures:
        if picture.is_corrupt:
            on_error()
    return pictures
