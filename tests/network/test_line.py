"""A bad line loses, delays and slows packets as told, and never makes, doubles or alters one."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.network.line import CUT, QUEUE_PACKETS, Conditions, Line
from tests.network.links import netem


@st.composite
def conditions(draw: st.DrawFn) -> Conditions:
    delay_ms = draw(st.floats(0, 1000))
    return Conditions(
        loss=draw(st.floats(0, 1)),
        delay_ms=delay_ms,
        jitter_ms=draw(st.floats(0, delay_ms)),
        rate_kbit=draw(st.none() | st.floats(1, 10_000)),
    )


def line(how: Conditions) -> Line:
    return Line(how, Random(7))


@given(conditions(), st.lists(st.integers(20, 1500), max_size=150))
def test_what_enters_comes_out_once_or_is_counted_as_lost(
    how: Conditions, sizes: list[int]
) -> None:
    bad = line(how)
    packets = [number.to_bytes(2, "big") * size for number, size in enumerate(sizes)]
    for packet in packets:
        bad.put(packet, 0.0)
    out = bad.take(1e9)
    assert len(set(out)) == len(out) == bad.entered - bad.lost
    assert set(out) <= set(packets)
    assert bad.due_in_s(1e9) is None


@given(st.floats(0, 500), st.floats(0, 1))
def test_a_packet_takes_its_delay_give_or_take_the_jitter(delay_ms: float, share: float) -> None:
    how = Conditions(delay_ms=delay_ms, jitter_ms=share * delay_ms)
    bad = line(how)
    bad.put(b"packet", 10.0)
    due_s = bad.due_in_s(10.0)
    assert due_s is not None
    assert abs(1000 * due_s - delay_ms) <= how.jitter_ms + 1e-6
    assert bad.take(10.0 + due_s / 2 - 1e-6) == []
    assert bad.take(10.0 + due_s + 1e-9) == [b"packet"]


@pytest.mark.parametrize("loss", [0.0, 0.05, 0.2, 1.0])
def test_the_share_that_is_lost_is_the_share_that_was_asked_for(loss: float) -> None:
    bad = line(Conditions(loss=loss))
    for number in range(10_000):
        bad.put(b"packet", number)
        bad.take(number)
    assert bad.lost / bad.entered == pytest.approx(loss, abs=0.01)


def test_a_narrow_line_passes_its_rate_in_order_and_drops_what_its_queue_cannot_hold() -> None:
    bad = line(Conditions(rate_kbit=80))  # 10 packets of 1000 bytes a second
    packets = [bytes([number]) * 1000 for number in range(2 * QUEUE_PACKETS)]
    for packet in packets:
        bad.put(packet, 0.0)
    assert bad.take(1.001) == packets[:10]
    assert bad.take(1e9) == packets[10:QUEUE_PACKETS]
    assert bad.lost == QUEUE_PACKETS


def test_a_cut_line_loses_what_enters_and_delivers_what_had_entered() -> None:
    bad = line(Conditions(delay_ms=100))
    bad.put(b"before", 0.0)
    bad.conditions = CUT
    bad.put(b"meanwhile", 0.01)
    bad.conditions = Conditions(delay_ms=100)
    bad.put(b"after", 0.02)
    assert bad.take(1.0) == [b"before", b"after"]


def test_jitter_beyond_the_delay_is_refused() -> None:
    with pytest.raises(ValueError, match="use 0 to `delay_ms`"):
        Conditions(delay_ms=10, jitter_ms=11)


def test_the_kernel_is_asked_for_the_same_conditions() -> None:
    how = Conditions(loss=0.05, delay_ms=200, jitter_ms=50, rate_kbit=30)
    told = " ".join(netem(how))
    assert told == "limit 100 loss 5% delay 200ms 50ms rate 30kbit"
    assert netem(CUT) == ["limit", "100", "loss", "100%"]
    assert netem(Conditions()) == ["limit", "100"]
