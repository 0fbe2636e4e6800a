"""A publisher whose losses a test decides: a real XPUB and ROUTER, the daemon's messages."""

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import zmq

from streamcls.clock import SystemClock
from streamcls.events import EventData, Payload, StatusData, Writer, topic, utc
from streamcls.pipeline.replay import ReplayServer
from streamcls.protocol import (
    Answer,
    Missing,
    Position,
    Replay,
    ReplayRequest,
    Request,
    Snapshot,
    SnapshotRequest,
    encode,
)
from tests.conformance import check_answer, check_message, check_request

SOON_S = 30.0
AT_ONCE = 2  # messages in one answer, so that whoever wants more must ask again


@dataclass
class Kept:
    """What the station has of a message; without a body it was forgotten."""

    topic: str
    position: Position
    body: bytes | None


def event(event_id: str, transition: str = "start") -> EventData:
    """A message of an event."""
    over = transition == "end"
    return EventData(
        event_id=event_id,
        transition="end" if over else "start",
        label="pan_left",
        index=1,
        stream_epoch=0,
        peak_score=0.9,
        mean_score=0.8,
        start_s=1.0,
        end_s=2.0,
        start_time=utc(1e9),
        end_time=utc(1e9 + 1) if over else None,
        reason="label_off" if over else None,
    )


class Station:
    """One run of a publisher; another that is given its `kept` goes on where it ended.

    Attributes:
        kept: everything published, in order.
        failing: replays are refused as if the disk were broken.
        snapshots: how many were asked for.
    """

    def __init__(self, folder: Path, boot_id: str, kept: Sequence[Kept] = ()) -> None:
        self.endpoint = f"ipc://{folder}/events"
        self.kept = list(kept)
        self.failing = False
        self.snapshots = 0
        self._writer = Writer("/streamcls/box", boot_id)
        self._clock_s = 1e9 + len(kept)
        self._joined = threading.Event()
        self._context = zmq.Context()
        self._events = self._bound(zmq.XPUB, self.endpoint)
        self._replays = ReplayServer(
            socket=self._bound(zmq.ROUTER, f"{self.endpoint}.replay"),
            respond=self._respond,
            messages_per_s=1e6,
            clock=SystemClock(),
            on_fault=lambda what, error: None,
            on_end=lambda error: None,
        )
        self._replays.start()

    def _bound(self, kind: int, endpoint: str) -> "zmq.Socket[bytes]":
        socket: zmq.Socket[bytes] = self._context.socket(kind)
        socket.linger = 0
        socket.bind(endpoint)
        return socket

    def await_subscription(self) -> None:
        """Wait until it would hear a message."""
        assert self._events.poll(round(1000 * SOON_S)), "nobody subscribed"
        self._events.recv()

    def await_subscriber(self) -> None:
        """Wait until it has subscribed and been told where things stand."""
        self.await_subscription()
        assert self._joined.wait(SOON_S), "nobody asked for a snapshot"

    def publish(
        self, payload: Payload, stream: str = "cam", *, sent: bool = True, kept: bool = True
    ) -> bytes:
        """Publish a message, or lose it on its way, or forget it; returns its body."""
        self._clock_s += 1
        encoded = self._writer.encode(stream, payload, utc(self._clock_s))
        check_message(encoded.body)
        position = Position(self._writer.boot_id, encoded.sequence)
        self.kept.append(Kept(encoded.topic, position, encoded.body if kept else None))
        if sent:
            self._events.send_multipart(encoded.frames)
        return encoded.body

    def beat(self, stream: str = "cam") -> None:
        """Publish a heartbeat."""
        newest = {"event": self._writer.sequence(topic(stream, "event"))}
        self.publish(StatusData(state="up", since=utc(1e9), heartbeat=True, sequences=newest))

    def send(self, *frames: bytes) -> None:
        """Send what is no message."""
        self._events.send_multipart(frames)

    def close(self) -> None:
        """End at once, as a kill would."""
        self._replays.stop()
        assert self._replays.join(SOON_S)
        assert self._replays.error is None
        self._events.close(0)
        self._context.term()

    def _respond(self, request: Request) -> tuple[Answer, Sequence[tuple[str, bytes]]]:
        check_request(encode(request))
        if isinstance(request, SnapshotRequest):
            answer, messages = self._snapshot(request)
        elif self.failing:
            raise OSError("the disk is broken")
        else:
            answer, messages = self._replay(request)
        check_answer(encode(answer))
        return answer, messages

    def _snapshot(self, request: SnapshotRequest) -> tuple[Answer, list[tuple[str, bytes]]]:
        self.snapshots += 1
        self._joined.set()
        newest = {kept.topic: kept for kept in self.kept}
        transitions = [(kept, *_transition(kept.body)) for kept in self.kept if kept.body]
        ended = {event_id for _, event_id, what in transitions if what == "end"}
        still_open = [
            kept for kept, event_id, what in transitions if what and event_id not in ended
        ]
        head = Snapshot(
            request=request.request,
            bootid=self._writer.boot_id,
            heartbeat_s=5.0,
            sequences={name: self._writer.sequence(name) for name in newest},
            latest=len(newest),
        )
        return head, [(k.topic, k.body) for k in [*newest.values(), *still_open] if k.body]

    def _replay(self, request: ReplayRequest) -> tuple[Answer, list[tuple[str, bytes]]]:
        of_topic = [kept for kept in self.kept if kept.topic == request.topic]
        places = [kept.position for kept in of_topic]
        begin = places.index(request.after) + 1 if request.after in places else 0
        chosen, rest = of_topic[begin : begin + AT_ONCE], of_topic[begin + AT_ONCE :]
        messages: list[tuple[str, bytes]] = []
        missing: list[Missing] = []
        for kept in chosen:
            boot, sequence = kept.position.bootid, kept.position.sequence
            if kept.body is None:
                missing.append(Missing(boot, sequence, sequence, before=len(messages)))
            else:
                messages.append((kept.topic, kept.body))
        newest = Position(self._writer.boot_id, self._writer.sequence(request.topic))
        head = Replay(
            request=request.request,
            topic=request.topic,
            through=chosen[-1].position if rest else newest,
            more=bool(rest),
            missing=missing,
        )
        return head, messages


def _transition(body: bytes) -> tuple[str, str]:
    """A message's event and what happens to it; empty where it is of no event."""
    data = json.loads(body)["data"]
    return data.get("event_id", ""), data.get("transition", "")
