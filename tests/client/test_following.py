"""The core against a model of the daemon: losses, repetitions, restarts, trimmed journals."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcls.client.asking import ANSWER_S, LONGEST_S, PATIENCE_S
from streamcls.client.following import Follower, Start
from streamcls.client.items import Gap, Item, Silence
from streamcls.client.wanted import Wanted
from streamcls.errors import StreamclsError
from streamcls.events import StatusData, topic
from streamcls.protocol import Position, Refusal, ReplayRequest, decode_request, encode
from tests.client.model import EVENT, PREDICTION, Frames, Model

EVENTS = topic("cam", "event")
REFUSED = Refusal(request=1, reason="unavailable", detail="")


class Line:
    """A follower wired to a model, with a clock that only moves when told."""

    def __init__(
        self,
        model: Model,
        start: Start = "snapshot",
        *,
        positions: dict[str, Position] | None = None,
        silence_s: float | None = None,
        **filters: Any,
    ) -> None:
        wanted = Wanted(**{"streams": [], "kinds": ["event"], "labels": [], **filters})
        self.now_s = 0.0
        self.model = model
        self.deaf = False
        self.connected = True
        self.asked: list[Any] = []
        self.queue: list[Frames] = []
        self.items: list[Item] = []
        self.errors: list[str] = []
        self.follower = Follower(
            wanted, start=start, positions=positions or {}, silence_s=silence_s, now_s=0.0
        )

    def run(self) -> list[Item]:
        """Move on until nothing more can happen at this time; returns the new items."""
        before = len(self.items)
        for _ in range(10_000):
            try:
                item = self.follower.ledger.take()
            except ValueError as error:
                self.errors.append(str(error))
                continue
            if item is not None:
                self.items.append(item)
            elif not self._step():
                return self.items[before:]
        raise AssertionError("it never comes to rest")

    def _step(self) -> bool:
        ask = self.follower.request(self.now_s)
        if ask:
            request = decode_request(ask.body)
            self.asked.append(request)
            if not self.deaf:
                head, messages = self.model.respond(request)
                frames = [encode(head), *(part for pair in messages for part in pair)]
                self.follower.answer(frames, self.now_s)
            return True
        if self.follower.asks:
            due_s = self.follower.wake_s()
            self._tick()
            return self.follower.wake_s() != due_s
        if not self.follower.hears:
            return True
        if self.queue:
            self.follower.hear(self.queue.pop(0), self.now_s)
            return True
        self._tick()
        return not self.follower.ledger.empty or not self.follower.hears

    def _tick(self) -> None:
        self.follower.tick(self.now_s, connected=self.connected, waiting=bool(self.queue))

    def take(self, count: int) -> list[Item]:
        """Move on until so many items came; the last one stays in hand."""
        taken: list[Item] = []
        while len(taken) < count:
            item = self.follower.ledger.take()
            if item is not None:
                taken.append(item)
            else:
                assert self._step(), "there are no more"
        return taken

    def wait(self, seconds: float) -> list[Item]:
        self.now_s += seconds
        return self.run()

    def lose_patience(self) -> None:
        """Let time pass until nothing is asked any more."""
        began_s = self.now_s
        while self.follower.asks:
            self.wait(LONGEST_S)
            assert self.now_s < began_s + 1000


def covered(items: list[Item]) -> list[tuple[str, int]]:
    """The (run, sequence) of every message and of every place in a gap, in order."""
    places: list[tuple[str, int]] = []
    for item in items:
        if isinstance(item, Gap):
            assert item.last is not None
            places += [(item.bootid, n) for n in range(item.first, item.last + 1)]
        elif not isinstance(item, Silence) and not isinstance(item.data, StatusData):
            places.append((item.bootid, item.sequence))
    return places


def truth(model: Model) -> list[tuple[str, int]]:
    return [(kept.bootid, kept.sequence) for kept in model.log]


STEPS = st.lists(
    st.one_of(
        st.just("publish"),
        st.just("publish"),
        st.just("lose"),
        st.just("twice"),
        st.just("heartbeat"),
        st.just("restart"),
        st.just("run"),
        st.integers(0, 4),
    ),
    max_size=40,
)


def play(line: Line, steps: list[str | int]) -> None:
    model = line.model
    for step in steps:
        if step == "publish":
            line.queue.append(model.publish())
        elif step == "lose":
            model.publish()
        elif step == "twice":
            line.queue += [model.publish()] * 2
        elif step == "heartbeat":
            line.queue.append(model.heartbeat())
        elif step == "restart":
            model.restart()
        elif step == "run":
            line.run()
        elif isinstance(step, int):
            model.trim(EVENTS, step)
    line.queue.append(model.heartbeat())
    line.run()


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_each_event_is_handed_out_once_and_in_order_or_lies_in_one_gap(
    steps: list[str | int],
) -> None:
    line = Line(Model())
    line.run()
    play(line, steps)
    assert covered(line.items) == truth(line.model)


@given(STEPS, STEPS)
@settings(max_examples=200, deadline=None)
def test_a_follower_that_goes_on_from_its_positions_misses_nothing_of_its_absence(
    before: list[str | int], after: list[str | int]
) -> None:
    model = Model()
    first = Line(model)
    first.run()
    play(first, before)
    processed = first.follower.ledger.processed
    model.publish()
    second = Line(model, "earliest", positions=processed)
    play(second, after)
    assert covered(first.items) + covered(second.items) == truth(model)


@given(st.lists(st.booleans(), min_size=10, max_size=10), st.integers(1, 9))
@settings(deadline=None)
def test_what_was_taken_last_and_not_settled_comes_again_and_nothing_before_it(
    lost: list[bool], stop_at: int
) -> None:
    line = Line(Model())
    line.run()
    for is_lost in lost:
        frames = line.model.publish()
        line.queue += [] if is_lost else [frames]
    line.queue.append(line.model.heartbeat())
    handed = line.take(stop_at)
    again = Line(line.model, "earliest", positions=dict(line.follower.ledger.processed))
    again.run()
    assert covered(handed[:-1]) + covered(again.items) == truth(line.model)


def numbers(items: list[Item]) -> list[int]:
    return [number for _, number in covered(items)]


def test_joining_shows_the_newest_state_and_prediction_and_what_is_open_each_once() -> None:
    model = Model()
    model.publish()
    model.publish(payload=PREDICTION)
    model.publish(payload=PREDICTION)
    model.heartbeat()
    opened = msgspec.structs.replace(EVENT, transition="start", reason=None)
    model.publish(payload=opened)
    line = Line(model, kinds=["event", "prediction", "status"])
    shown = [item for item in line.run() if not isinstance(item, Gap | Silence)]
    assert sorted((item.type, item.sequence) for item in shown) == [
        ("streamcls.event.v1", 2),
        ("streamcls.prediction.v1", 2),
        ("streamcls.status.v1", 1),
    ]


@pytest.mark.parametrize(("start", "expected"), [("now", [3]), ("earliest", [1, 2, 3])])
def test_a_start_begins_where_it_says(start: Start, expected: list[int]) -> None:
    model = Model()
    model.publish()
    model.publish()
    line = Line(model, start)
    line.run()
    line.queue.append(model.publish())
    line.run()
    assert numbers(line.items) == expected


def test_what_was_published_between_subscribing_and_the_snapshot_is_handed_out() -> None:
    model = Model()
    line = Line(model)
    line.queue = [model.publish(), model.publish()]
    assert numbers(line.run()) == [1, 2]


def test_only_what_is_followed_is_repaired() -> None:
    model = Model()
    line = Line(model)
    line.run()
    model.publish(payload=PREDICTION)
    line.queue.append(model.heartbeat())
    assert line.run() == []
    assert not any(isinstance(request, ReplayRequest) for request in line.asked)


def test_a_label_filter_hides_messages_and_no_gap() -> None:
    model = Model()
    line = Line(model, labels=["zoom_in"])
    line.run()
    other = msgspec.structs.replace(EVENT, label="zoom_in")
    line.queue = [model.publish(), model.publish(payload=other), model.publish()]
    assert numbers(line.run()) == [2]
    assert line.follower.ledger.processed[EVENTS].sequence == 3


def test_a_replay_unanswered_by_a_daemon_that_is_there_is_in_the_end_an_exact_gap() -> None:
    model = Model()
    line = Line(model)
    line.run()
    line.deaf = True
    model.publish()
    model.publish()
    line.queue.append(model.publish())
    asked, began_s = len(line.asked), line.now_s
    line.run()
    line.lose_patience()
    assert PATIENCE_S <= line.now_s - began_s <= PATIENCE_S + LONGEST_S
    assert len(line.asked) - asked == 3
    gap, message = line.items
    assert gap == Gap("cam", "event", "run0", 1, 2, "unanswered")
    assert gap.count == 2
    assert not isinstance(message, Gap | Silence)
    assert message.sequence == 3
    assert line.follower.is_unanswered


@pytest.mark.parametrize("start", ["snapshot", "earliest"])
def test_a_daemon_that_is_away_for_an_hour_costs_a_consumer_nothing(start: Start) -> None:
    model = Model()
    line = Line(model, start)
    line.run()
    for _ in range(5):
        model.publish()
    line.queue.append(model.publish())
    line.deaf, line.connected = True, False
    for _ in range(360):
        line.wait(10)
    assert not line.follower.is_unanswered
    line.deaf, line.connected = False, True
    line.wait(10)
    assert numbers(line.items) == [1, 2, 3, 4, 5, 6]


def test_a_slow_answer_is_taken_though_it_was_asked_for_again() -> None:
    model = Model()
    line = Line(model)
    line.deaf = True
    line.run()
    late, messages = model.respond(line.asked[0])
    line.wait(ANSWER_S)
    assert len(line.asked) == 2
    line.follower.answer([encode(late), *(part for pair in messages for part in pair)], line.now_s)
    assert not line.follower.asks
    line.run()
    assert line.follower.hears


def test_a_deaf_endpoint_delays_live_messages_and_does_not_withhold_them() -> None:
    model = Model()
    line = Line(model)
    line.deaf = True
    line.queue = [model.publish(), model.publish()]
    line.run()
    line.lose_patience()
    assert numbers(line.items) == [1, 2]


def test_without_a_snapshot_earliest_tells_what_it_could_not_have() -> None:
    model = Model()
    line = Line(model, "earliest")
    for _ in range(4):
        model.publish()
    line.deaf = True
    line.queue = [model.publish()]
    line.run()
    line.lose_patience()
    line.lose_patience()
    assert line.items[0] == Gap("cam", "event", "run0", 1, 4, "unanswered")
    assert numbers(line.items[1:]) == [5]


def test_a_snapshot_that_was_not_answered_is_asked_for_again() -> None:
    model = Model()
    line = Line(model)
    line.deaf = True
    line.queue = [model.publish()]
    line.run()
    line.lose_patience()
    line.lose_patience()
    line.deaf = False
    line.wait(60)
    assert not line.follower.is_unanswered
    line.queue = [model.publish()]
    line.run()
    assert numbers(line.items) == [1, 2]


def test_an_unanswered_restart_says_that_the_old_runs_end_is_unknown() -> None:
    model = Model()
    line = Line(model)
    line.run()
    line.queue = [model.publish()]
    line.run()
    line.deaf = True
    model.restart()
    model.publish()
    line.queue = [model.publish()]
    line.run()
    line.lose_patience()
    line.lose_patience()
    assert line.items[1:3] == [
        Gap("cam", "event", "run0", 2, None, "unanswered"),
        Gap("cam", "event", "run1", 1, 1, "unanswered"),
    ]
    assert numbers(line.items[3:]) == [2]


def test_a_topic_that_is_gone_is_told_once_and_forgotten() -> None:
    model = Model()
    positions = {topic("old", "event"): Position("bygone", 7)}
    line = Line(model, "earliest", positions=positions)
    line.run()
    model.restart()
    line.queue.append(model.publish())
    line.run()
    assert [item for item in line.items if isinstance(item, Gap)] == [
        Gap("old", "event", "bygone", 8, None, "expired")
    ]
    assert topic("old", "event") not in line.follower.ledger.processed


def test_a_live_body_that_cannot_be_read_is_an_error_and_the_next_message_follows() -> None:
    model = Model()
    line = Line(model)
    line.run()
    good = model.publish()
    bad = (good[0], good[1].replace(b'"end"', b'"pause"'))
    line.queue = [bad, model.publish()]
    assert numbers(line.run()) == [2]
    assert len(line.errors) == 1
    assert EVENTS in line.errors[0]


@pytest.mark.parametrize("body", [b"{}", b"\xff", b"[" * 100_000, b""])
def test_a_body_that_not_even_has_a_number_does_not_loop_in_replays(body: bytes) -> None:
    model = Model()
    line = Line(model)
    line.run()
    model.publish()
    model.kept[EVENTS][0].frames = (EVENTS.encode(), body)
    line.queue = [(EVENTS.encode(), body), model.publish()]
    assert numbers(line.run()) == [2]
    assert len(line.errors) == 2
    assert line.follower.ledger.processed[EVENTS].sequence == 2


@pytest.mark.parametrize("frames", [[b"{}"], [b""], [b"[" * 100_000], [encode(REFUSED), b"x"]])
def test_an_answer_that_is_none_is_an_error_and_asked_for_again(frames: list[bytes]) -> None:
    line = Line(Model())
    line.deaf = True
    line.run()
    line.follower.answer(frames, line.now_s)
    line.run()
    assert len(line.errors) == 1
    line.deaf = False
    line.wait(ANSWER_S)
    assert not line.follower.asks
    assert line.follower.hears


def test_a_kind_that_only_newer_daemons_have_is_passed_over() -> None:
    line = Line(Model())
    line.run()
    line.queue = [(b"streamcls/v1/cam/alarm/", b"?")]
    assert line.run() == []
    assert line.errors == []


def test_silence_is_told_each_time_it_has_lasted_so_long() -> None:
    model = Model()
    line = Line(model, silence_s=10)
    line.run()
    assert line.wait(9) == []
    assert line.wait(1) == [Silence(10)]
    assert line.wait(5) == []
    assert line.wait(5) == [Silence(20)]
    line.queue.append(model.heartbeat())
    assert line.wait(5) == []
    assert line.wait(9) == []
    assert line.wait(1) == [Silence(10)]


def test_silence_is_told_while_an_answer_is_awaited_too() -> None:
    line = Line(Model(), silence_s=2)
    line.deaf, line.connected = True, False
    line.run()
    assert line.wait(2) == [Silence(2)]


def test_a_state_is_handed_out_newest_first_known_and_never_repaired() -> None:
    model = Model()
    line = Line(model, kinds=["status"])
    line.run()
    first = model.heartbeat()
    model.heartbeat()
    third = model.heartbeat()
    line.queue = [first, first, third]
    assert [item.sequence for item in line.run() if not isinstance(item, Gap | Silence)] == [1, 3]


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        ({"kinds": ["events"]}, "prediction, event, status"),
        ({"kinds": []}, "prediction, event, status"),
        ({"kinds": "event"}, r"\['event'\]"),
        ({"streams": ["cam/1"]}, "a-z"),
    ],
)
def test_a_filter_that_can_match_nothing_is_refused(filters: dict[str, Any], names: str) -> None:
    with pytest.raises(StreamclsError, match=names):
        Line(Model(), **filters)
