"""Decoding just what a clip needs: its frames, and those that they are predicted from."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TypeAlias

import av
from av.container import InputContainer

VideoPacket: TypeAlias = "av.Packet[av.VideoStream]"

# Containers whose packets tell no time of presentation, or a false one.
_UNTIMED = {"avi", "h264", "hevc", "m4v", "mjpeg", "mpegvideo", "av1", "obu", "ivf"}


def packets_between(
    container: InputContainer, stream: av.VideoStream, first: int, last: int
) -> list[VideoPacket]:
    """The packets that may hold frames between two instants, from where the container is.

    Args:
        first, last: in ticks of the stream's time base.

    Returns:
        Packets from a keyframe on that shows at `first` or before. Empty where the next keyframe
        shows later: what lies before it is predicted from frames that were sought past.
    """
    packets: list[VideoPacket] = []
    for packet in container.demux(stream):
        if packet.size == 0 or packet.is_discard:
            continue
        # No frame shows before it is decoded, so neither do those of packets yet to come.
        if packet.dts is not None and packet.dts > last:
            break
        if not packets:
            if not packet.is_keyframe:
                continue
            if packet.pts is not None and packet.pts > first:
                break
        packets.append(packet)
    return packets


def picked_frames(
    container: InputContainer,
    stream: av.VideoStream,
    packets: Sequence[VideoPacket],
    instants: Sequence[int],
) -> list[av.VideoFrame] | None:
    """The frames showing at some instants, out of packets that begin with a keyframe.

    The packets' times tell which frames those are, so of the others only those are decoded that
    some frame is predicted from: the decoder is told to pass over the rest (FFmpeg's `skip_frame`),
    which changes no pixel of what is left.

    Args:
        instants: rising, in ticks of the stream's time base.

    Returns:
        For each instant the last frame at or before it. None where the packets do not tell that:
        they lack times, begin too late, or a frame does not come out as they promise.
    """
    if container.format.name in _UNTIMED or not packets:
        return None
    times = sorted(packet.pts for packet in packets if packet.pts is not None)
    if len(times) < len(packets) or len(set(times)) < len(times):
        return None
    places = [bisect_right(times, instant) - 1 for instant in instants]
    if places[0] < 0:
        return None
    wanted = [times[place] for place in places]
    decoded = _decode(stream, packets, set(wanted))
    if any(time not in decoded for time in wanted):
        return None
    return [decoded[time] for time in wanted]


def _decode(
    stream: av.VideoStream, packets: Sequence[VideoPacket], wanted: set[int]
) -> dict[int, av.VideoFrame]:
    """The wanted frames by their times, as far as they come out."""
    found: dict[int, av.VideoFrame] = {}
    last = max(n for n, packet in enumerate(packets) if packet.pts in wanted)
    context = stream.codec_context
    # Some decoders (dav1d) look at `skip_frame` only here, and would pass over wanted frames too.
    context.open(strict=False)
    for packet in (*packets[: last + 1], None):
        needed = packet is None or packet.pts in wanted
        context.skip_frame = "DEFAULT" if needed else "NONREF"
        try:
            frames = context.decode(packet)
        except av.FFmpegError:
            frames = []
        for frame in frames:
            if frame.pts in wanted:
                found[frame.pts] = frame
    context.skip_frame = "DEFAULT"
    return found
