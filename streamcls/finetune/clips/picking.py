"""Decoding just what a clip needs: its frames, and those that they are predicted from."""

from bisect import bisect_right
from collections.abc import Sequence

import av
from av.container import InputContainer

# Containers whose packets tell no time of presentation, or a false one.
_UNTIMED = {"avi", "h264", "hevc", "m4v", "mjpeg", "mpegvideo", "av1", "obu", "ivf"}


def picked_frames(
    container: InputContainer, stream: av.VideoStream, instants: Sequence[int]
) -> list[av.VideoFrame] | None:
    """The frames showing at some instants, from where the container has been sought to.

    The packets' times tell which frames those are, so nothing behind the last is decoded, and of
    the others only those that some frame is predicted from: the decoder is told to pass over the
    rest (FFmpeg's `skip_frame`), which changes no pixel of what is left.

    Args:
        instants: rising, in ticks of the stream's time base.

    Returns:
        For each instant the last frame at or before it. None where the packets do not tell that:
        they lack times, begin too late, or a frame does not come out as they promise.
    """
    if container.format.name in _UNTIMED:
        return None
    packets = _packets_until(container, stream, instants[-1])
    times = sorted(packet.pts for packet in packets if packet.pts is not None)
    if len(times) < len(packets) or len(set(times)) < len(times):
        return None
    places = [bisect_right(times, instant) - 1 for instant in instants]
    if not times or places[0] < 0:
        return None
    wanted = [times[place] for place in places]
    decoded = _decode(stream, packets, set(wanted))
    if any(time not in decoded for time in wanted):
        return None
    return [decoded[time] for time in wanted]


def _packets_until(
    container: InputContainer, stream: av.VideoStream, last: int
) -> list["av.Packet[av.VideoStream]"]:
    """The packets to come that may hold frames up to a time."""
    packets: list[av.Packet[av.VideoStream]] = []
    for packet in container.demux(stream):
        if packet.size == 0 or packet.is_discard:
            continue
        # No frame shows before it is decoded, so neither do those of packets yet to come.
        if packet.dts is not None and packet.dts > last:
            break
        packets.append(packet)
    return packets


def _decode(
    stream: av.VideoStream, packets: Sequence["av.Packet[av.VideoStream]"], wanted: set[int]
) -> dict[int, av.VideoFrame]:
    """The wanted frames by their times, as far as they come out."""
    found: dict[int, av.VideoFrame] = {}
    context = stream.codec_context
    for packet in (*packets, None):
        needed = packet is None or packet.pts in wanted
        context.skip_frame = "DEFAULT" if needed else "NONREF"
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            frames = []
        for frame in frames:
            if frame.pts in wanted:
                found[frame.pts] = frame
        if len(found) == len(wanted):
            break
    context.skip_frame = "DEFAULT"
    return found
