"""RTP and RTCP as a camera sends them: H.264 and H.265 in packets, sender reports. Pure."""

import struct
from collections.abc import Iterator

CLOCK_HZ = 90_000
_PAYLOAD_TYPE = 96
_MTU = 1400
_SSRC = 0x5EED
_NTP_EPOCH_S = 2_208_988_800  # from 1900 to 1970


def nal_units(annex_b: bytes) -> list[bytes]:
    """The NAL units of an access unit in Annex B format, without their start codes."""
    units, start = [], annex_b.find(b"\0\0\1")
    while start >= 0:
        end = annex_b.find(b"\0\0\1", start + 3)
        unit = annex_b[start + 3 : end if end >= 0 else None]
        units.append(unit.rstrip(b"\0") if end >= 0 else unit)
        start = end
    return units


class Packetizer:
    """Numbers and cuts NAL units into RTP packets (RFC 6184, and RFC 7798 for H.265)."""

    def __init__(self, *, hevc: bool = False, sequence: int = 0) -> None:
        self._hevc = hevc
        self._sequence = sequence
        self._packets = self._octets = 0

    def packets(self, units: list[bytes], ticks: int) -> Iterator[bytes]:
        """One access unit at an RTP time; the last packet has the marker."""
        payloads = [payload for unit in units for payload in self._payloads(unit)]
        for payload in payloads:
            marker = 0x80 if payload is payloads[-1] else 0
            head = struct.pack(
                "!BBHII",
                0x80,
                marker | _PAYLOAD_TYPE,
                self._sequence & 0xFFFF,
                ticks & 0xFFFFFFFF,
                _SSRC,
            )
            self._sequence += 1
            self._packets += 1
            self._octets += len(payload)
            yield head + payload

    def sender_report(self, utc_s: float, ticks: int) -> bytes:
        """What the camera's wall clock shows at an RTP time (RFC 3550, 6.4.1)."""
        ntp = round((utc_s + _NTP_EPOCH_S) * 2**32) & 0xFFFFFFFFFFFFFFFF
        body = struct.pack("!IQIII", _SSRC, ntp, ticks & 0xFFFFFFFF, self._packets, self._octets)
        return struct.pack("!BBH", 0x80, 200, len(body) // 4) + body

    def _payloads(self, unit: bytes) -> list[bytes]:
        if len(unit) <= _MTU:
            return [unit]
        return self._hevc_fragments(unit) if self._hevc else self._fragments(unit)

    @staticmethod
    def _fragments(unit: bytes) -> list[bytes]:
        kind = unit[0] & 0x1F
        parts = [unit[i : i + _MTU] for i in range(1, len(unit), _MTU)]
        heads = [0x80] + [0] * (len(parts) - 2) + [0x40]
        return [
            bytes([unit[0] & 0xE0 | 28, head | kind]) + part
            for head, part in zip(heads, parts, strict=True)
        ]

    @staticmethod
    def _hevc_fragments(unit: bytes) -> list[bytes]:
        kind = unit[0] >> 1 & 0x3F
        parts = [unit[i : i + _MTU] for i in range(2, len(unit), _MTU)]
        heads = [0x80] + [0] * (len(parts) - 2) + [0x40]
        return [
            bytes([unit[0] & 0x81 | 49 << 1, unit[1], head | kind]) + part
            for head, part in zip(heads, parts, strict=True)
        ]


def interleaved(channel: int, packet: bytes) -> bytes:
    """A packet as it goes over RTSP's own connection (RFC 2326, 10.12)."""
    return struct.pack("!cBH", b"$", channel, len(packet)) + packet
