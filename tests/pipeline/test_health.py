"""When a stream is too corrupt to go on with, and how far a camera's clock is off."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamcls.pipeline.sources.health import CameraClock, Lateness, PacketHealth

PACKETS_A_S = 25


def played(pattern: str, *, seconds: float) -> PacketHealth:
    """A health that has seen packets, `.` sound and `x` corrupt, repeated for so long."""
    health = PacketHealth()
    for i in range(round(seconds * PACKETS_A_S)):
        health.note(i / PACKETS_A_S, bad=pattern[i % len(pattern)] == "x")
    return health


@pytest.mark.parametrize(
    ("pattern", "share"), [(".", 0.0), ("x....", 0.2), (".x", 0.5), (".xxx", 0.75)]
)
def test_the_share_is_that_of_corrupt_packets(pattern: str, share: float) -> None:
    assert played(pattern, seconds=60).share(60) == pytest.approx(share, abs=0.02)


def test_a_burst_is_not_a_verdict_before_ten_seconds_are_over() -> None:
    assert played(".xxxxxxxx", seconds=9.9).share(9.9) == 0


def test_what_comes_before_the_first_sound_picture_does_not_count() -> None:
    health = PacketHealth()
    for i in range(500):
        health.note(i / PACKETS_A_S, bad=True)
    for i in range(500, 800):
        health.note(i / PACKETS_A_S, bad=False)
    assert health.share(800 / PACKETS_A_S) == 0


def test_it_looks_at_the_last_ten_seconds_alone() -> None:
    health = played(".", seconds=600)
    for i in range(600 * PACKETS_A_S, 609 * PACKETS_A_S):
        health.note(i / PACKETS_A_S, bad=True)
    assert health.share(609) == pytest.approx(0.9, abs=0.02)


def test_a_handful_of_packets_is_no_share() -> None:
    health = PacketHealth()
    for i in range(15):
        health.note(float(i), bad=i > 0)
    assert health.share(14.0) == 0


@given(st.lists(st.tuples(st.floats(0, 3), st.booleans()), max_size=300))
def test_a_share_is_always_one(packets: list[tuple[float, bool]]) -> None:
    health, now_s = PacketHealth(), 0.0
    for step_s, bad in packets:
        now_s += step_s
        health.note(now_s, bad=bad)
        assert 0 <= health.share(now_s) <= 1


def test_a_camera_that_does_not_tell_its_time_has_no_offset() -> None:
    assert CameraClock().offset_s(None, 1000.0, 0.0) is None


@given(st.lists(st.floats(0, 4), min_size=1, max_size=50), st.floats(-1e6, 1e6))
def test_lateness_of_single_frames_does_not_move_the_offset(
    delays_s: list[float], true_s: float
) -> None:
    clock, found = CameraClock(), None
    for i, delay_s in enumerate([0.0, *delays_s]):
        taken_s = 1e9 + i * 0.04
        found = clock.offset_s(taken_s + true_s, taken_s + delay_s, i * 0.04)
    assert found == pytest.approx(true_s, abs=1e-5)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0])
def test_a_step_of_the_cameras_clock_is_followed_within_seconds(step_s: float) -> None:
    clock, offsets = CameraClock(), []
    for i in range(20 * PACKETS_A_S):
        now_s = i / PACKETS_A_S
        stepped = step_s if now_s >= 10 else 0.0
        offsets.append(clock.offset_s(1e9 + now_s + stepped, 1e9 + now_s, now_s))
    assert offsets[9 * PACKETS_A_S] == pytest.approx(0)
    assert offsets[16 * PACKETS_A_S] == pytest.approx(step_s)


def test_an_offset_is_not_kept_for_ever_when_the_camera_falls_silent_about_it() -> None:
    clock = CameraClock()
    assert clock.offset_s(1e9 + 1, 1e9, 0.0) == 1
    assert clock.offset_s(None, 1e9 + 4, 4.0) == 1
    assert clock.offset_s(None, 1e9 + 6, 6.0) is None


@given(st.lists(st.floats(0, 1.9), min_size=1, max_size=50), st.floats(-1e5, 1e5))
def test_a_frame_is_late_by_what_it_took_longer_than_the_quickest(
    delays_s: list[float], offset_s: float
) -> None:
    lateness = Lateness()
    for i, delay_s in enumerate([0.0, *delays_s]):
        media_s = Fraction(i, 25)
        late_s = lateness.behind_s(media_s, float(media_s) + offset_s + delay_s)
        assert late_s == pytest.approx(delay_s, abs=1e-6)


def test_a_clock_that_drifts_is_forgiven_within_half_a_minute() -> None:
    lateness = Lateness()
    late_s = [lateness.behind_s(Fraction(i, 25), i / 25 * 1.001) for i in range(25 * 600)]
    assert 0.02 < max(late_s) < 0.031


@pytest.mark.parametrize("step_s", [-5, 3, 0])
def test_another_timeline_is_no_delay(step_s: int) -> None:
    lateness = Lateness()
    lateness.behind_s(Fraction(10), 100.0)
    assert lateness.behind_s(Fraction(10 + step_s), 100.04) == 0
    assert lateness.behind_s(None, 100.08) == 0


@pytest.mark.parametrize("stall_s", [0.5, 3.0])
def test_what_a_stalled_network_brings_all_at_once_is_not_late_by_our_fault(stall_s: float) -> None:
    lateness, asked_s = Lateness(), 0.0
    for i in range(250):
        due_s = i / 25
        arrives_s = max(due_s, 5.0 + stall_s) if due_s >= 5.0 else due_s
        now_s = max(asked_s, arrives_s)
        lateness.waited(now_s - asked_s, now_s)
        assert lateness.behind_s(Fraction(i, 25), now_s) == 0
        asked_s = now_s + 0.004  # to decode it


def test_a_decoder_that_cannot_keep_up_falls_behind_and_is_told_so_until_it_waits_again() -> None:
    lateness, asked_s = Lateness(), 0.0
    told: list[float] = []
    true: list[float] = []
    for i in range(1000):
        due_s = i / 25
        now_s = max(asked_s, due_s)
        lateness.waited(now_s - asked_s, now_s)
        told.append(lateness.behind_s(Fraction(i, 25), now_s))
        true.append(now_s - due_s)
        asked_s = now_s + (0.05 if 100 <= i < 200 else 0.004)
    assert max(true) == pytest.approx(1.0, abs=0.05)
    assert told[130:220] == pytest.approx(true[130:220])
    assert max(told[:100] + told[260:]) == 0
