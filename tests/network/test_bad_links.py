"""Half a minute's cut, loss up to a fifth, a far camera and a link too narrow, all at once."""

import pytest

from tests.network.line import Conditions
from tests.network.playing import BACKOFF_MAX_S, CUT, OPEN_S, READ_S, Played, play
from tests.network.test_blink import SLACK_S, repaired, seen_is_over, untouched

pytestmark = [
    pytest.mark.rtsp,
    pytest.mark.netns,
    pytest.mark.slow,
    pytest.mark.timeout(400),
]

LINKS = {
    CUT: Conditions(),
    "loss-1": Conditions(loss=0.01),
    "loss-5": Conditions(loss=0.05),
    "loss-20": Conditions(loss=0.20),
    "far": Conditions(delay_ms=200, jitter_ms=50),
    "narrow": Conditions(rate_kbit=30),  # of the 64 kbit/s that the camera sends
}


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    run = play(tmp_path_factory.mktemp("bad"), LINKS, cut_s=30, after_s=25)
    print(run.table())
    return run


def test_a_cut_of_half_a_minute_is_seen_and_mends_by_itself(played: Played) -> None:
    seen_is_over(played)


@pytest.mark.parametrize("name", ["loss-1", "loss-5", "far"])
def test_a_line_that_tcp_can_repair_costs_no_connection(played: Played, name: str) -> None:
    repaired(played, name)


def test_a_fifth_lost_at_worst_times_out_and_comes_back(played: Played) -> None:
    heard = played.heard["loss-20"]
    assert set(played.counted("source_reconnects", "loss-20")) <= {"timeout"}
    assert {one.reason for one in heard.statuses} <= {"", "no_frames", "timeout", "stopped"}
    assert all(one.coverage >= 0.8 for _, one in heard.predictions)
    assert heard.lost_windows <= sum(played.counted("windows_dropped", "loss-20").values())
    away_s = READ_S + BACKOFF_MAX_S + OPEN_S + SLACK_S
    assert played.ended_s - heard.predictions[-1][0] < away_s


def test_a_link_too_narrow_loses_nothing_and_tells_how_late_it_is(played: Played) -> None:
    heard = played.heard["narrow"]
    assert set(played.counted("source_reconnects", "narrow")) <= {"timeout", "disconnected"}
    assert heard.lost_windows == 0
    assert all(one.coverage >= 0.99 for _, one in heard.predictions)
    offsets = [one.clock_offset_s for _, one in heard.predictions if one.clock_offset_s is not None]
    assert min(offsets) < -10  # at half the rate, a minute of pictures takes two


def test_a_sibling_on_another_network_never_notices(played: Played) -> None:
    untouched(played)
