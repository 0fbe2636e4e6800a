"""Anything at all in the place of messages: a ValueError that says so, and the next is read."""

import random
from collections.abc import Iterator, Sequence
from typing import get_args

import pytest

from streamcls.client import Subscriber
from streamcls.client.following import Follower, Start
from streamcls.client.reading import read, read_answer
from streamcls.client.wanted import Wanted
from streamcls.events import EventData, Writer, decode, topic, utc
from streamcls.protocol import (
    Position,
    Refusal,
    ReplayRequest,
    Request,
    SnapshotRequest,
    decode_answer,
    decode_request,
    encode,
)
from tests.client.model import Model
from tests.client.serving import PATIENCE_S, Daemon, serving
from tests.fuzz.cases import told
from tests.fuzz.conftest import Cases
from tests.fuzz.limits import memory_limit
from tests.fuzz.mutate import mutated
from tests.test_events import PAYLOADS

EVERYTHING = Wanted(streams=[], kinds=["prediction", "event", "status"], labels=[])
BODIES = [b"", b"{}", b"[" * 100_000, b'{"a":' * 100_000, b'{"bootid": "a", "sequence": -1}']


def real_messages() -> list[tuple[bytes, bytes]]:
    writer = Writer("/streamcls/box", "boot")
    return [writer.encode("cam", payload, utc(1e9)).frames for payload in PAYLOADS]


def real_heads() -> list[bytes]:
    """Requests, and heads of their answers."""
    name, at = topic("cam", "event"), Position("run0", 3)
    model = Model()
    for payload in PAYLOADS * 2:
        model.publish(payload=payload)
    model.trim(name, 1)
    asked: list[Request] = [
        SnapshotRequest(request=7, streams=["cam"]),
        ReplayRequest(request=8, topic=name),
        ReplayRequest(request=9, topic=name, after=at, to=Position("run0", 9), limit=5),
    ]
    answers = [model.respond(asked[0])[0], model.respond(asked[1])[0]]
    refusal = Refusal(request=9, reason="unavailable", detail="no")
    return [encode(one) for one in (*asked, *answers, refusal)]


MESSAGES, HEADS = real_messages(), real_heads()


def any_frames(chance: random.Random) -> list[bytes]:
    """A message with its topic or body mutated, or with other frames than two."""
    name, body = chance.choice(MESSAGES)
    kind = chance.randrange(8)
    if kind == 0:
        name = mutated(name, chance, others=[other for other, _ in MESSAGES])
    elif kind == 1:
        name, body = chance.choice(MESSAGES)[0], chance.choice(BODIES)
    elif kind == 2:
        return [chance.choice((name, body, b"")) for _ in range(chance.choice((0, 1, 3, 50)))]
    else:
        body = mutated(body, chance, others=[other for _, other in MESSAGES])
    return [name, body]


def test_a_decoder_gives_a_message_or_a_value_error(cases: Cases) -> None:
    decoded = 0
    with memory_limit(100):
        for case in cases(5000):
            frames = any_frames(case.chance)
            with case.trying(frames):
                try:
                    if len(frames) == 2:
                        decode(*frames)
                        decoded += 1
                    read(EVERYTHING, frames)
                except ValueError as error:
                    told(error)


def test_requests_and_answers_are_read_or_a_value_error(cases: Cases) -> None:
    with memory_limit(100):
        for case in cases(5000):
            chance = case.chance
            body = mutated(chance.choice([*HEADS, *BODIES]), chance, others=HEADS)
            frames = [body, *any_frames(chance)]
            with case.trying(frames):
                for read_it in (decode_request, decode_answer):
                    try:
                        read_it(body)
                    except ValueError as error:
                        told(error)
                try:
                    read_answer(frames)
                except ValueError as error:
                    told(error)


class Lies:
    """A follower of a daemon that at times says anything."""

    def __init__(self, start: Start, chance: random.Random) -> None:
        wanted = Wanted(streams=[], kinds=["event", "status"], labels=[])
        self.model = Model()
        self.follower = Follower(wanted, start=start, positions={}, silence_s=None, now_s=0.0)
        self.taken: list[str] = []
        self._chance = chance
        self._now_s = 0.0
        self._queue: list[Sequence[bytes]] = []

    def hear(self, *frames: Sequence[bytes]) -> None:
        """Have messages published, and go on until nothing more is to be done."""
        self._queue += frames
        for _ in range(2000):
            try:
                item = self.follower.ledger.take()
            except ValueError:
                continue
            if item is not None:
                self.taken.append(getattr(getattr(item, "data", None), "event_id", ""))
            elif not self._step():
                return
        raise AssertionError("it never comes to rest")

    def tell_the_truth(self) -> None:
        """From now on."""
        self._chance = random.Random()
        self._chance.random = lambda: 1.0  # type: ignore[method-assign]

    def _step(self) -> bool:
        follower = self.follower
        if ask := follower.request(self._now_s):
            for frames in self._answers(ask.body):
                follower.answer(frames, self._now_s)
        elif follower.asks:
            self._now_s += 5
            follower.tick(self._now_s, connected=True, waiting=bool(self._queue))
        elif not follower.hears:
            return True
        elif self._queue:
            follower.hear(self._queue.pop(0), self._now_s)
        else:
            return not follower.ledger.empty
        return True

    def _answers(self, asked: bytes) -> Iterator[Sequence[bytes]]:
        request, chance = decode_request(asked), self._chance
        if isinstance(request, ReplayRequest) and request.after:
            known = request.after.bootid in self.model.runs
            if not known or request.topic not in self.model.kept:
                yield [encode(Refusal(request=request.request, reason="unknown_topic", detail=""))]
                return
        head, messages = self.model.respond(request)
        frames = [encode(head), *(part for pair in messages for part in pair)]
        if chance.random() < 0.5:
            at = chance.randrange(len(frames))
            frames[at] = mutated(frames[at], chance, others=HEADS)
        yield frames


def event_named(name: str) -> EventData:
    data = PAYLOADS[2]
    assert isinstance(data, EventData)
    return EventData(
        **{field: getattr(data, field) for field in data.__struct_fields__} | {"event_id": name}
    )


def test_whatever_a_daemon_says_its_next_run_is_followed(cases: Cases) -> None:
    with memory_limit(200):
        for case in cases(400):
            chance = case.chance
            line = Lies(chance.choice(get_args(Start)), chance)
            with case.trying(None):
                for _ in range(chance.randint(1, 12)):
                    frames = line.model.publish(payload=chance.choice(PAYLOADS))
                    lie = [mutated(part, chance, others=HEADS) for part in frames]
                    line.hear(chance.choice((frames, lie, any_frames(chance))))
                    if chance.random() < 0.2:
                        line.hear(line.model.heartbeat())
                line.tell_the_truth()
                line.model.runs.append("lies are over")
                line.model.restart()
                line.hear(line.model.heartbeat())
                line.hear(line.model.publish(payload=event_named("the truth")))
                assert "the truth" in line.taken


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with serving() as daemon:
        yield daemon


def test_a_subscriber_on_real_sockets_outlives_noise(cases: Cases, daemon: Daemon) -> None:
    with Subscriber(daemon.endpoint, replay_endpoint=daemon.replay_endpoint, start="now") as items:
        daemon.await_subscriber()
        for case in cases(300):
            frames = [b"streamcls/v1/", *any_frames(case.chance)][-3:]
            name = frames[0] if frames[0].startswith(b"streamcls/v1/") else b"streamcls/v1/\xff"
            with case.trying(frames):
                daemon.send(name, *frames[1:])
                try:
                    items.receive(0.001)
                except ValueError as error:
                    told(error)
        daemon.model.restart()
        daemon.publish(event_named("the truth"))
        seen = ""
        while seen != "the truth":
            try:
                item = items.receive(PATIENCE_S)
            except ValueError:
                continue
            assert item is not None, "nothing comes any more"
            seen = getattr(getattr(item, "data", None), "event_id", "")
