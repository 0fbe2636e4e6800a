"""The way out as a whole: what it undoes, in which order it begins, and that it always ends."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from streamcls.clock import SystemClock
from streamcls.config import JournalSettings, KeySettings, PublishSettings
from streamcls.delivery import Delivery
from streamcls.events import (
    Encoded,
    EventData,
    Message,
    Payload,
    StatusData,
    Transition,
    decode,
    utc,
)
from streamcls.history import History
from streamcls.protocol import Answer, Request, Snapshot, SnapshotRequest, decode_answer, encode

SOON_S = 20.0


def event(transition: Transition = "start") -> EventData:
    return EventData(
        event_id="e1",
        transition=transition,
        label="pan_left",
        index=1,
        stream_epoch=1,
        peak_score=0.9,
        mean_score=0.8,
        start_s=1.0,
        end_s=2.0,
        start_time=utc(1e9),
        end_time=utc(1e9 + 1),
    )


def delivery(
    folder: Path, *, boot_id: str = "boot", endpoint: str = "", heartbeat_s: float = 1000.0
) -> Delivery:
    return Delivery(
        PublishSettings(
            endpoint=endpoint or f"ipc://{folder}/events",
            heartbeat_s=heartbeat_s,
            wait_for_subscriber_s=SOON_S,
        ),
        JournalSettings(path=str(folder / "events.sqlite")),
        KeySettings(),
        streams=["cam"],
        boot_id=boot_id,
        clock=SystemClock(),
        on_end=lambda error: None,
    )


@contextmanager
def running(made: Delivery) -> Iterator[Delivery]:
    made.start()
    try:
        yield made
    finally:
        made.stop()
        assert made.join(SOON_S)


@contextmanager
def calling(endpoint: str, kind: int) -> Iterator["zmq.Socket[bytes]"]:
    with zmq.Context() as context, context.socket(kind) as socket:
        socket.set(zmq.LINGER, 0)
        if kind == zmq.SUB:
            socket.subscribe("")
        socket.connect(endpoint)
        yield socket


def heard(ear: "zmq.Socket[bytes]") -> Message:
    assert ear.poll(round(1000 * SOON_S)), "nothing came"
    topic, body = ear.recv_multipart()
    return decode(topic, body)


def statuses(ear: "zmq.Socket[bytes]", count: int) -> list[list[str]]:
    """The problems of so many statuses."""
    data = [heard(ear).data for _ in range(count)]
    return [one.problems for one in data if isinstance(one, StatusData)]


@pytest.mark.parametrize("culprit", ["History", "Publisher", "ReplayServer"])
def test_a_constructor_that_fails_leaves_the_journal_and_the_addresses_to_the_next(
    tmp_path: Path, culprit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: object) -> None:
        raise RuntimeError("not today")

    broken.SOCKET = {"Publisher": zmq.XPUB, "ReplayServer": zmq.ROUTER}.get(culprit)  # type: ignore[attr-defined]
    broken.OPTIONS = {}  # type: ignore[attr-defined]
    broken.options = lambda size: {}  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setattr(f"streamcls.delivery.{culprit}", broken)
        with pytest.raises(RuntimeError, match="not today"):
            delivery(tmp_path)
    with running(delivery(tmp_path)):
        pass


def test_threads_that_hang_do_not_hold_the_end_longer_than_the_time_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    released, taken = threading.Event(), threading.Event()

    def hangs(*_: object) -> tuple[()]:
        taken.set()
        assert released.wait(SOON_S)
        return ()

    def no_answer(self: Delivery, request: Request) -> tuple[Answer, Sequence[tuple[str, bytes]]]:
        taken.set()
        assert released.wait(SOON_S)
        raise ValueError("too late")

    monkeypatch.setattr(Delivery, "_respond", no_answer)
    made = delivery(tmp_path)
    made.start()
    with calling(made.replay_endpoint, zmq.DEALER) as caller:
        caller.send(encode(SnapshotRequest()))
        assert taken.wait(SOON_S)
        taken.clear()
        made.post("cam", hangs)
        assert taken.wait(SOON_S)
        made.stop()
        began_s = time.monotonic()
        assert not made.join(2.0)
        assert time.monotonic() - began_s < 2.5
        with running(delivery(tmp_path)):  # the addresses and the journal are free
            pass
        released.set()


def test_no_snapshot_shows_as_open_what_an_earlier_run_left_though_its_stream_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(delivery(tmp_path, boot_id="one")) as made, calling(made.endpoint, zmq.SUB) as ear:
        made.wait_for_subscriber(lambda: False)
        made.post("removed", lambda: [event()])
        heard(ear)
    recording, released = threading.Event(), threading.Event()
    record = History.record

    def slowly(self: History, group: Sequence[Encoded]) -> None:
        recording.set()
        assert released.wait(SOON_S)
        record(self, group)

    monkeypatch.setattr(History, "record", slowly)
    with (
        running(delivery(tmp_path, boot_id="two")) as made,
        calling(made.replay_endpoint, zmq.DEALER) as caller,
    ):
        caller.send(encode(SnapshotRequest()))
        assert recording.wait(SOON_S)
        assert not caller.poll(300)
        released.set()
        assert caller.poll(round(1000 * SOON_S))
        head, *messages = caller.recv_multipart()
    answer = decode_answer(head)
    assert isinstance(answer, Snapshot)
    found = [decode(*pair).data for pair in zip(messages[::2], messages[1::2], strict=True)]
    ends = [data.reason for data in found if isinstance(data, EventData)]
    assert ends == ["crash_recovered"]


def test_what_turns_out_later_to_have_been_left_open_is_ended_with_the_next_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[tuple[str, EventData]] = []

    def newly_known(self: History) -> list[tuple[str, EventData]]:
        return [known.pop() for _ in known[:]]

    monkeypatch.setattr(History, "left_open", newly_known)
    with (
        running(delivery(tmp_path, heartbeat_s=0.05)) as made,
        calling(made.endpoint, zmq.SUB) as ear,
    ):
        made.wait_for_subscriber(lambda: False)
        known.append(("cam", event()))
        data = heard(ear).data
    assert isinstance(data, EventData)
    assert (data.event_id, data.transition, data.reason) == ("e1", "end", "crash_recovered")


def test_a_problem_is_told_when_it_begins_when_its_kind_changes_and_when_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problems: list[str] = []
    monkeypatch.setattr(History, "problems", property(lambda self: problems))
    up = StatusData(state="up", since=utc(0))
    told: list[list[str]] = []

    def becoming(*now: str) -> Callable[[], list[Payload]]:
        def change() -> list[Payload]:
            nonlocal problems
            problems = list(now)
            return []

        return change

    with running(delivery(tmp_path)) as made, calling(made.endpoint, zmq.SUB) as ear:
        made.wait_for_subscriber(lambda: False)
        made.post_status("cam", up)
        told += statuses(ear, 1)
        made.post("cam", becoming("disk is full; 1 waits"))
        told += statuses(ear, 1)
        made.post("cam", becoming("disk is full; 2 wait"))
        made.post_status("cam", up)
        told += statuses(ear, 1)
        made.post("cam", becoming("disk is gone; 3 wait"))
        told += statuses(ear, 1)
        made.post("cam", becoming())
        made.stop()
        told += statuses(ear, 1)
    assert [[one.partition(";")[0] for one in problems] for problems in told] == [
        [],
        ["disk is full"],
        ["disk is full"],
        ["disk is gone"],
        [],
    ]
