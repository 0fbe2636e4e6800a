"""Which packets are read as what, and what is done with them: with a decoder that keeps a list."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import pytest

from streamcls.frames import Undecoded
from streamcls.pipeline.sources import sparse
from streamcls.pipeline.sources.nal import Coded, reader_of
from streamcls.pipeline.sources.sparse import SparseDecoder

SPS, PPS = b"\x67\x42\x00\x1e", b"\x68\xce"
IDR, REFERENCE, DISPOSABLE = b"\x65\x88", b"\x41\x9a", b"\x01\x9e"


def annex_b(*units: bytes) -> bytes:
    return b"".join(b"\0\0\0\1" + unit + b"\x80" for unit in units)


def avcc(*units: bytes) -> bytes:
    return b"".join(len(unit).to_bytes(4, "big") + unit for unit in units)


@dataclass(eq=False)
class Picture:
    pts: int
    width: int = 64
    height: int = 48
    rotation: int = 0
    is_corrupt: bool = False
    interlaced_frame: bool = False


class FakePacket(bytes):
    """A packet of an H.264 stream without reordering, on a clock of 25 ticks a second."""

    pts: int | None
    decoded: list[int | None]
    is_corrupt = is_discard = False
    opaque: object = None

    @property
    def size(self) -> int:
        return len(self)

    def has_sidedata(self, _kind: str) -> bool:
        return False

    def pictures(self) -> list[Picture]:
        if not self:
            return []
        self.decoded.append(self.pts)
        return [] if self.pts is None else [Picture(self.pts)]


setattr(FakePacket, "decode", FakePacket.pictures)  # noqa: B010 - that of bytes is another


@dataclass
class _Codec:
    name: str = "h264"
    extradata: bytes | None = None
    reorder_depth: int = 0


@dataclass
class _Stream:
    codec_context: _Codec = field(default_factory=_Codec)
    time_base: Fraction = Fraction(1, 25)


class Line:
    """A sparse decoder fed by hand; ticks in `needed` are instants."""

    def __init__(self, needed: Callable[[int], bool]) -> None:
        self.skipped: Counter[str] = Counter()
        self.decoded: list[int | None] = []
        self.shown: list[tuple[int, bool]] = []

        def needs(from_s: Fraction, before_s: Fraction) -> bool:
            return any(needed(tick) for tick in range(int(from_s * 25), int(before_s * 25)))

        stream: Any = _Stream()
        self._sparse = SparseDecoder(stream, lambda: None, needs, self.skipped)

    def push(self, pts: int | None, *units: bytes) -> None:
        packet: Any = FakePacket(annex_b(*units))
        packet.pts, packet.decoded = pts, self.decoded
        for picture in self._sparse.push(packet):
            assert picture.pts is not None
            self.shown.append((picture.pts, not isinstance(picture, Undecoded)))

    def end(self) -> None:
        self.push(None)


def test_disposable_pictures_that_show_in_decoding_order_wait_for_the_next_one() -> None:
    line = Line(lambda tick: tick % 5 == 0)
    for pts in range(24):
        line.push(pts, IDR if pts == 0 else REFERENCE if pts % 2 == 0 else DISPOSABLE)
        late = pts - line.shown[-1][0]
        assert late == (pts % 2 == 1 and pts % 5 > 0), "held though it shows at an instant"
    line.end()
    assert [pts for pts, _ in line.shown] == list(range(24))
    left_out = [pts for pts, decoded in line.shown if not decoded]
    assert left_out == [1, 3, 7, 9, 11, 13, 17, 19, 21, 23]
    assert line.decoded == [pts for pts in range(24) if pts not in left_out]
    assert line.skipped == {"disposable": len(left_out)}


def test_a_held_picture_that_shows_at_an_instant_after_all_is_decoded_before_the_next() -> None:
    line = Line(lambda tick: tick == 3)
    for pts, unit in ((0, IDR), (1, REFERENCE), (2, DISPOSABLE), (5, REFERENCE)):
        line.push(pts, unit)
    assert line.decoded == [0, 1, 2, 5]
    assert line.shown == [(pts, True) for pts in (0, 1, 2, 5)]


def test_groups_between_windows_are_passed_over_from_any_packet_on() -> None:
    waived = False
    line = Line(lambda _tick: not waived)
    for pts in range(50):
        waived = 23 <= pts < 41
        line.push(pts, IDR if pts % 10 == 0 else REFERENCE)
    # The closing picture is decoded, then nothing until the first that is needed, and its group.
    assert [pts for pts in range(50) if pts not in line.decoded] == list(range(23, 40))
    assert [pts for pts, _ in line.shown] == list(range(50))
    assert line.skipped == {"gop": 17}


def test_what_is_held_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparse, "_MAX_HELD", 5)
    line = Line(lambda tick: tick > 1000)
    for pts in range(40):
        line.push(pts, IDR if pts in (0, 10, 20) else REFERENCE)
    # Held from 10 on until there is no room, and decoded; at 20 the same again.
    assert line.decoded == list(range(40))
    assert [pts for pts, _ in line.shown] == list(range(40))


def test_parameters_never_get_lost() -> None:
    line = Line(lambda tick: tick == 0)
    for pts in range(60):
        other = PPS + b"\1" if pts >= 40 else PPS
        line.push(pts, *((SPS, other, IDR) if pts % 10 == 0 else (REFERENCE,)))
    line.end()
    # With those held back before them, and what follows as ever.
    assert [pts for pts in line.decoded if pts is not None and pts >= 10] == list(range(30, 41))
    assert [pts for pts, _ in line.shown] == list(range(60))


@pytest.mark.parametrize("oddity", ["no time", "same time", "falls", "jumps", "corrupt"])
def test_what_is_odd_is_decoded_with_all_before_it(oddity: str) -> None:
    line = Line(lambda tick: tick == 0)
    for pts in range(28):
        line.push(pts, IDR if pts % 10 == 0 else REFERENCE)
    held = [pts for pts in range(20, 28) if pts not in line.decoded]
    assert held == list(range(20, 28))
    strange: Any = FakePacket(annex_b(REFERENCE))
    strange.decoded = line.decoded
    strange.is_corrupt = oddity == "corrupt"
    strange.pts = {"no time": None, "same time": 27, "falls": 3, "jumps": 100}.get(oddity, 28)
    line._sparse.push(strange)
    assert line.decoded[-9:] == [*held, strange.pts]


@pytest.mark.parametrize("packed", [annex_b, avcc])
@pytest.mark.parametrize(
    ("units", "coded"),
    [
        ((IDR,), Coded(disposable=False, starts_gop=True, parameters=b"")),
        ((b"\x09\xf0", REFERENCE), Coded(disposable=False, starts_gop=False, parameters=b"")),
        ((DISPOSABLE,), Coded(disposable=True, starts_gop=False, parameters=b"")),
        ((b"\x06" + 500 * b"\x05", DISPOSABLE), Coded(True, False, b"")),
        ((b"\x06\x05", SPS), None),
    ],
)
def test_h264_is_read_from_start_codes_and_from_lengths(
    packed: Callable[..., bytes], units: tuple[bytes, ...], coded: Coded | None
) -> None:
    extradata = b"\1\x64\0\x0c\xff\xe1\0" if packed is avcc else None
    read = reader_of("h264", extradata)
    assert read
    assert read(packed(*units)) == coded


def test_parameters_are_told_whole() -> None:
    read = reader_of("h264", None)
    assert read
    told = read(annex_b(SPS, PPS, b"\x06" + 300 * b"\1", IDR))
    assert told
    assert told.parameters == SPS + b"\x80" + PPS + b"\x80"


def hevc(kind: int, layer: int = 0, rest: bytes = b"\x80") -> bytes:
    return bytes([kind << 1, layer + 1]) + rest


def seen(extradata: bytes | None, kind: int, layer: int = 0) -> Coded:
    read = reader_of("hevc", extradata)
    assert read
    coded = read(annex_b(hevc(kind, layer)))
    assert coded
    return coded


@pytest.mark.parametrize("layers", [1, 2])
def test_of_hevc_only_the_highest_temporal_layer_is_disposable(layers: int) -> None:
    parameters = annex_b(hevc(33, rest=bytes([(layers - 1) << 1, 1])))
    assert seen(parameters, 0).disposable == (layers == 1)
    assert seen(parameters, 0, layer=1).disposable == (layers == 2)
    assert not seen(parameters, 1, layer=layers - 1).disposable
    assert [kind for kind in (1, 19, 20, 21) if seen(parameters, kind).starts_gop] == [19, 20]


def test_of_hevc_without_parameters_nothing_is_disposable() -> None:
    assert not seen(None, 0).disposable


@pytest.mark.parametrize("codec", ["h264", "hevc"])
@pytest.mark.parametrize(
    "packet", [b"", b"\0", b"\0\0\1", b"\0\0\1\x65", b"\xff" * 9, b"\0\0\0\1" * 3]
)
def test_nobody_leaves_out_scraps(codec: str, packet: bytes) -> None:
    for extradata in (None, b"\1\x64\0\x0c\xff\xe1\0", bytes([1]) + bytes(30)):
        read = reader_of(codec, extradata)
        assert read
        coded = read(packet)
        assert coded is None or not (coded.disposable or coded.starts_gop)


def test_other_codecs_are_not_read() -> None:
    assert reader_of("mjpeg", None) is None
