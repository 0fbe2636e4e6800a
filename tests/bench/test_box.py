"""What else a machine does, as Linux counts it."""

from pathlib import Path

import pytest

from streamcls.bench.box import Around, Counters, core_seconds, memory_free_mb

STAT = """cpu  40 40 40 40 40 40 40 40 0 0
cpu0 100 20 30 5000 400 5 6 77 50 0
cpu1 1 2 3 4 5 6 7 8 0 0
cpu10 1000 0 0 0 0 0 0 0 0 0
intr 12345 0 1 2
"""


def test_only_the_cores_that_one_may_use_count() -> None:
    hz = 100  # ticks a second on every Linux that there is
    assert core_seconds(STAT.splitlines(), [0]) == pytest.approx((161 / hz, 4, 0.77))
    assert core_seconds(STAT.splitlines(), [0, 1]) == pytest.approx((180 / hz, 4.05, 0.85))
    assert core_seconds(STAT.splitlines(), [7]) == (0, 0, 0)


def counters(at_s: float, **counted: float) -> Counters:
    zero = {"busy_s": 0.0, "waiting_s": 0.0, "stolen_s": 0.0, "throttled_s": 0.0}
    return Counters(at_s=at_s, hot=0, **(zero | counted))


def test_what_is_not_ours_is_the_others() -> None:
    around = Around.between(
        counters(10, busy_s=100), counters(14, busy_s=107, stolen_s=2, throttled_s=1), ours_s=5
    )
    assert around == Around(others=0.5, waiting=0, stolen=0.5, throttled=0.25, hot=0)
    # Ticks are coarse: ours may seem more than all.
    assert Around.between(counters(1), counters(2), ours_s=0.01).others == 0


def test_a_quota_is_seen_where_the_group_is_the_root_of_what_is_shown(tmp_path: Path) -> None:
    group = tmp_path / "sys/fs/cgroup"
    group.mkdir(parents=True)
    (group / "cpu.stat").write_text("usage_usec 9\nnr_throttled 3\nthrottled_usec 2500000\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/docker/abc\n")
    assert Counters.now(tmp_path).throttled_s == 2.5
    inside = group / "docker/abc"
    inside.mkdir(parents=True)
    (inside / "cpu.stat").write_text("throttled_usec 1000000\n")
    assert Counters.now(tmp_path).throttled_s == 1


def test_cores_that_grew_too_hot_are_counted_together(tmp_path: Path) -> None:
    for core, times in ((0, 3), (1, 4)):
        folder = tmp_path / f"sys/devices/system/cpu/cpu{core}/thermal_throttle"
        folder.mkdir(parents=True)
        (folder / "core_throttle_count").write_text(f"{times}\n")
    assert Counters.now(tmp_path).hot == 7


def test_a_system_that_counts_nothing_says_nothing(tmp_path: Path) -> None:
    now = Counters.now(tmp_path)
    assert (now.busy_s, now.stolen_s, now.throttled_s, now.hot) == (0, 0, 0, 0)
    assert memory_free_mb(tmp_path) == 0


def test_this_machine_has_been_busy() -> None:
    assert Counters.now().busy_s > 0
    assert memory_free_mb() > 1
