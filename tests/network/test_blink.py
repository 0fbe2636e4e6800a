"""A camera's network goes for eight seconds, another's loses packets: the short form of the set."""

import pytest

from tests.network.line import Conditions
from tests.network.playing import BACKOFF_MAX_S, CUT, LOCAL, OPEN_S, READ_S, Played, play

pytestmark = [pytest.mark.rtsp, pytest.mark.netns, pytest.mark.timeout(240)]

SLACK_S = 5.0  # for busy machines


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    links = {CUT: Conditions(), "loss-5": Conditions(loss=0.05)}
    run = play(tmp_path_factory.mktemp("blink"), links, cut_s=8, after_s=2)
    print(run.table())
    return run


def test_a_cut_is_seen_within_the_read_timeout_and_mends_by_itself(played: Played) -> None:
    seen_is_over(played)


def test_a_line_that_loses_packets_costs_no_connection_and_no_picture(played: Played) -> None:
    repaired(played, "loss-5")


def test_a_sibling_on_another_network_never_notices(played: Played) -> None:
    untouched(played)


def seen_is_over(played: Played) -> None:
    """The cut was told in time, as what it was, and was over soon after it was mended."""
    heard = played.heard[CUT]
    lost, back = heard.since(played.cut_s, "backoff"), heard.since(played.mended_s, "up")
    assert lost
    assert lost.reason == "timeout"
    assert lost.since.timestamp() - played.cut_s < READ_S + SLACK_S
    assert back, heard.statuses
    # At worst an attempt has just begun in vain, then waits its turn and begins again.
    assert back.since.timestamp() - played.mended_s < OPEN_S + BACKOFF_MAX_S + SLACK_S
    assert set(played.counted("source_reconnects", CUT)) == {"timeout"}
    epochs = [one.stream_epoch for _, one in heard.predictions]
    assert epochs[0] < epochs[-1]
    assert heard.lost_windows == 0


def repaired(played: Played, name: str) -> None:
    """TCP made good what was lost: one connection, every window whole, each loss counted."""
    heard = played.heard[name]
    assert not played.counted("source_reconnects", name)
    assert {one.stream_epoch for _, one in heard.predictions} == {1}
    assert all(one.coverage >= 0.99 for _, one in heard.predictions)
    # A late burst may close two windows at once, of which the newest wins.
    dropped = played.counted("windows_dropped", name)
    assert set(dropped) <= {"superseded"}
    assert heard.lost_windows <= dropped.get("superseded", 0)
    assert played.ended_s - heard.predictions[-1][0] < SLACK_S


def untouched(played: Played) -> None:
    """The sibling lost nothing, and the daemon ended well."""
    heard = played.heard[LOCAL]
    assert heard.states == ["connecting", "warming_up", "up", "stopped"]
    assert heard.lost_windows == 0
    assert not played.counted("windows_dropped", LOCAL)
    assert played.ended_s - heard.predictions[-1][0] < SLACK_S
    assert played.exit_code == 0
    assert "Traceback" not in played.output
