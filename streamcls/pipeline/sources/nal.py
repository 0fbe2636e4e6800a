"""What a coded picture is to the others, read off its first bytes. H.264 and HEVC; pure."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from av.packet import Packet

_HEAD = 256  # bytes within which a picture's first slice mostly begins
_START = b"\0\0\1"


@dataclass(frozen=True, slots=True)
class Coded:
    """One packet's picture.

    Attributes:
        disposable: no other picture refers to it.
        starts_gop: nothing after it, in decoding order, refers to anything before it.
        parameters: the parameter sets that come with it, as they are.
    """

    disposable: bool
    starts_gop: bool
    parameters: bytes


Reader = Callable[["Packet[Any] | bytes"], Coded | None]
"""None for a packet without any part of a picture."""


def reader_of(codec: str, extradata: bytes | None) -> Reader | None:
    """What reads the packets of a stream; None for a codec whose pictures all count as needed.

    Args:
        extradata: the decoder's; it says whether units have lengths or start codes before them.
    """
    head = extradata or b""
    match codec:
        case "h264":
            return _H264(length_bytes=(head[4] & 3) + 1 if len(head) > 6 and head[0] == 1 else 0)
        case "hevc":
            return _hevc(head)
    return None


class _Reader:
    """Walks the units of a packet up to its first slice."""

    def __init__(self, length_bytes: int) -> None:
        """Units have their length before them in so many bytes, or 0: a start code."""
        self._length_bytes = length_bytes

    def __call__(self, packet: "Packet[Any] | bytes") -> Coded | None:
        view = memoryview(packet)
        return self._prefixed(view) if self._length_bytes else self._delimited(view)

    def _prefixed(self, view: memoryview) -> Coded | None:
        parameters: list[bytes] = []
        at, size = 0, len(view)
        while at + self._length_bytes + 2 <= size:
            begin = at + self._length_bytes
            at = begin + int.from_bytes(view[at:begin], "big")
            if not begin + 2 <= at <= size:
                break  # damaged
            first, second = view[begin], view[begin + 1]
            if self.is_slice(first):
                return self.coded(first, second, b"".join(parameters))
            if self.is_parameters(first):
                parameters.append(self.noted(view[begin:at].tobytes()))
        return None

    def _delimited(self, view: memoryview) -> Coded | None:
        parameters: list[bytes] = []
        data = view[:_HEAD].tobytes()
        begin = data.find(_START) + 3
        while begin >= 3:
            if begin + 2 <= len(data) and self.is_slice(data[begin]):
                return self.coded(data[begin], data[begin + 1], b"".join(parameters))
            end = data.find(_START, begin)
            if end < 0 and len(data) < len(view):
                data = view.tobytes()
                continue
            if begin + 2 <= len(data) and self.is_parameters(data[begin]):
                unit = data[begin : end if end >= 0 else None]
                parameters.append(self.noted(unit.rstrip(b"\0")))
            begin = end + 3
        return None

    def is_slice(self, first: int) -> bool:
        """Whether a unit whose first byte this is holds a part of the picture."""
        raise NotImplementedError

    def is_parameters(self, first: int) -> bool:
        """Whether it holds parameters of later pictures."""
        raise NotImplementedError

    def noted(self, unit: bytes) -> bytes:
        """The parameter set, once looked at."""
        return unit

    def coded(self, first: int, second: int, parameters: bytes) -> Coded:
        """What a slice's first two bytes say of its picture."""
        raise NotImplementedError


class _H264(_Reader):
    """ITU-T H.264, 7.3.1: one bit, nal_ref_idc (2), nal_unit_type (5)."""

    def is_slice(self, first: int) -> bool:
        return 1 <= first & 31 <= 5

    def is_parameters(self, first: int) -> bool:
        return first & 31 in (7, 8)

    def coded(self, first: int, second: int, parameters: bytes) -> Coded:  # noqa: ARG002
        return Coded(
            disposable=first & 0x60 == 0, starts_gop=first & 31 == 5, parameters=parameters
        )


class _Hevc(_Reader):
    """ITU-T H.265, 7.3.1.2: one bit, nal_unit_type (6), layer (6), temporal id plus 1 (3).

    A sub-layer non-reference picture has an even type below 16; pictures of higher temporal
    layers may refer to it all the same, so only those of the highest are disposable.
    """

    def __init__(self, length_bytes: int, parameters: list[bytes]) -> None:
        super().__init__(length_bytes)
        self._layers = 0  # not known: nothing is disposable
        for unit in parameters:
            self.noted(unit)

    def is_slice(self, first: int) -> bool:
        return first >> 1 & 63 < 32

    def is_parameters(self, first: int) -> bool:
        return first >> 1 & 63 in (32, 33, 34)

    def noted(self, unit: bytes) -> bytes:
        if unit[0] >> 1 & 63 == 33 and len(unit) > 2:  # sps_max_sub_layers_minus1
            self._layers = (unit[2] >> 1 & 7) + 1
        return unit

    def coded(self, first: int, second: int, parameters: bytes) -> Coded:
        kind, layer = first >> 1 & 63, second & 7
        return Coded(
            disposable=kind < 16 and kind % 2 == 0 and 0 < layer == self._layers,
            starts_gop=kind in (19, 20),
            parameters=parameters,
        )


def _hevc(extradata: bytes) -> _Hevc:
    """By an hvcC record (ISO/IEC 14496-15, 8.3.3.1), or by parameters with start codes."""
    if len(extradata) < 23 or not (extradata[0] or extradata[1] or extradata[2] > 1):
        reader = _Hevc(0, [])
        reader(extradata)
        return reader
    units: list[bytes] = []
    at = 23
    for _ in range(extradata[22]):
        count = int.from_bytes(extradata[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            begin = at + 2
            if begin >= len(extradata):
                break
            at = begin + int.from_bytes(extradata[at:begin], "big")
            units.append(extradata[begin:at])
    return _Hevc((extradata[21] & 3) + 1, [unit for unit in units if unit])
