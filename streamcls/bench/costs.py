"""What a picture costs on its own: decoding it, and making it small RGB."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av

from streamcls.errors import ConfigError
from streamcls.transforms import ClipSpec, to_small_rgb
from streamcls.transforms.pixels import convert_on_one_thread

_PICTURES = 150
_CONVERTED_EVERY = 6


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU milliseconds of one core for one picture, on a machine that does nothing else."""

    decode_ms: float
    convert_ms: float

    def convert_share(self, decoded: float, converted: float) -> float:
        """The share of converting in what so many pictures cost."""
        converting, all_ms = converted * self.convert_ms, decoded * self.decode_ms
        return converting / (all_ms + converting) if converting else 0.0


def costs_of(path: Path, spec: ClipSpec, pictures: int = _PICTURES) -> Costs:
    """Measured on the first pictures of a recording, on the calling thread alone.

    Raises:
        ConfigError: not one of them can be decoded.
    """
    convert_on_one_thread()
    decoding_s = converting_s = 0.0
    decoded = converted = 0
    before_s = time.thread_time()
    for frame in islice(_frames(path), pictures):
        decoding_s += time.thread_time() - before_s
        decoded += 1
        if decoded % _CONVERTED_EVERY == 1:
            before_s = time.thread_time()
            to_small_rgb(frame, spec)
            converting_s += time.thread_time() - before_s
            converted += 1
        before_s = time.thread_time()
    if not decoded:
        raise ConfigError(f"no picture of {path} can be decoded; name another video")
    return Costs(1000 * decoding_s / decoded, 1000 * converting_s / converted)


def _frames(path: Path) -> Iterator[av.VideoFrame]:
    """Those that can be decoded, on the calling thread."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for packet in container.demux(stream):
            try:
                yield from packet.decode()
            except av.error.InvalidDataError:
                continue
