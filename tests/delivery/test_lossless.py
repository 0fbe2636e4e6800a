"""Every consumer has every event, in order, once after removing repetitions, or counted gaps."""

import os
import signal
import statistics
import time
from functools import partial
from pathlib import Path

import pytest

from tests.conformance import check_message
from tests.delivery.harness import (
    Tally,
    consuming,
    last_sequences,
    loading,
    settings_file,
    wait_until,
)


def have_all(log: Path, last: dict[str, int]) -> bool:
    return Tally.of(log).reached(last)


@pytest.mark.parametrize(
    ("count", "rate", "stopped_s"),
    [(12_000, 4_000, 1.0), pytest.param(100_000, 5_000, 10.0, marks=pytest.mark.slow)],
)
@pytest.mark.timeout(400)
def test_healthy_stopped_late_and_restarting_consumers_miss_nothing(
    tmp_path: Path, count: int, rate: float, stopped_s: float
) -> None:
    logs = {name: tmp_path / name for name in ("healthy", "stopped", "late", "joining", "restart")}
    cursor = tmp_path / "cursor"
    # A short queue, so that a consumer which does not read is sure to lose messages.
    settings = settings_file(tmp_path, publish="queue_size = 1000")
    with (
        loading(settings) as load,
        consuming(load, logs["healthy"]),
        consuming(load, logs["stopped"]) as stopped,
        consuming(load, logs["restart"], cursor=cursor, crash_after=count // 5) as first,
    ):
        load.begin(count, rate)
        os.kill(stopped.pid, signal.SIGSTOP)
        time.sleep(stopped_s)
        os.kill(stopped.pid, signal.SIGCONT)
        assert first.wait(60) == -signal.SIGKILL
        with (
            consuming(load, logs["restart"], cursor=cursor),
            consuming(load, logs["late"]),
            consuming(load, logs["joining"], start="snapshot"),
        ):
            load.finish()
            last = last_sequences(count)
            for log in logs.values():
                wait_until(partial(have_all, log, last), f"{log.name} has all")
    for name, log in logs.items():
        tally = Tally.of(log)
        print(
            f"{name}: {tally.messages} messages, {tally.missing} missing, {tally.repeated} repeated"
        )
        assert tally.missing == 0, "the journal has them all"
        if name != "joining":
            assert set(tally.first.values()) == {1}
            assert tally.messages == count
        assert tally.repeated == 0 or name == "restart"


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_stopped_consumer_does_not_slow_a_healthy_one(tmp_path: Path) -> None:
    count = 100_000

    def throughput(folder: Path, with_stopped: bool) -> float:
        folder.mkdir()
        log = folder / "healthy"
        with (
            loading(settings_file(folder)) as load,
            consuming(load, log),
            consuming(load, folder / "stopped") as other,
        ):
            if with_stopped:
                os.kill(other.pid, signal.SIGSTOP)
            else:
                other.kill()
                other.wait()
            began = time.monotonic()
            load.send(count)
            last, lines = last_sequences(count), 0
            while lines < count:  # counting costs less than parsing: it must not take the cores
                time.sleep(0.02)
                with log.open("rb") as written:
                    lines = sum(
                        block.count(b"\n") for block in iter(partial(written.read, 1 << 20), b"")
                    )
            seconds = time.monotonic() - began
            assert Tally.of(log).reached(last)
        tally = Tally.of(log)
        assert (tally.messages, tally.missing) == (count, 0)
        return count / seconds

    ratios = []
    for turn in range(5):
        alone = throughput(tmp_path / f"{turn}-alone", False)
        beside = throughput(tmp_path / f"{turn}-beside", True)
        ratios.append(beside / alone)
        print(f"alone {alone:.0f}/s, beside a stopped one {beside:.0f}/s, ratio {ratios[-1]:.3f}")
    print(f"median ratio {statistics.median(ratios):.3f}")
    assert statistics.median(ratios) >= 0.9


def test_every_message_fits_the_published_schema_and_cloudevents(tmp_path: Path) -> None:
    from streamcls.client import Gap, Silence, Subscriber
    from streamcls.events import encode

    with loading(settings_file(tmp_path)) as load:
        load.send(300)
        with Subscriber(
            load.endpoint, replay_endpoint=load.replay_endpoint, start="earliest"
        ) as items:
            load.send(300)
            events = 0
            while events < 600:
                item = items.receive(20)
                assert item is not None
                assert not isinstance(item, Gap | Silence)
                check_message(encode(item))
                events += item.type == "streamcls.event.v1"
