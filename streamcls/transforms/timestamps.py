"""When a decoded frame shows, as its container tells it."""

from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

# Containers that number packets in decoding order and know no other time. With B-frames FFmpeg
# hands that number on as a presentation time, which then runs back and forth; the decoding time
# of the packet that released a frame never does.
_DECODE_ORDER_ONLY = {"avi"}


def media_time_s(frame: "av.VideoFrame", container_format: str) -> Fraction | None:
    """The frame's media time in exact seconds, None where the container carried none.

    Args:
        container_format: FFmpeg's name of the demuxer, e.g. `avi` or `mov,mp4,m4a,3gp,3g2,mj2`.
    """
    by_decoding = container_format in _DECODE_ORDER_ONLY and frame.dts is not None
    ticks = frame.dts if by_decoding else frame.pts
    if ticks is None or not frame.time_base:
        return None
    return ticks * Fraction(frame.time_base)
