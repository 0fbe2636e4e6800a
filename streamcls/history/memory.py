"""The newest messages of this run, for answers that need no disk."""

import threading
from collections import deque
from collections.abc import Mapping, Sequence

from streamcls.events import Encoded, EventData, StatusData, parse_topic
from streamcls.history.walk import Kept

_KEEP_EVENTS = 1000  # of each event topic

Tail = tuple[int, list[tuple[int, bytes]]]


class Memory:
    """Rings of messages, one per topic. Written by one thread, read by any.

    Args:
        keep_predictions: how many of each prediction topic.
        open_events: by event id, what earlier runs left open.
    """

    def __init__(self, keep_predictions: int, open_events: Mapping[str, Kept]) -> None:
        self._keep = {"prediction": keep_predictions, "event": _KEEP_EVENTS, "status": 0}
        self._lock = threading.Lock()  # of all below
        self._open = dict(open_events)
        self._rings: dict[str, deque[tuple[int, bytes]]] = {}
        self._sequences: dict[str, int] = {}
        self._newest: dict[str, bytes] = {}

    def note(self, group: Sequence[Encoded]) -> None:
        """Remember messages."""
        with self._lock:
            for message in group:
                self._note(message)

    def sequences(self) -> dict[str, int]:
        """The newest sequence of each topic that had a message."""
        with self._lock:
            return dict(self._sequences)

    def state(self) -> tuple[dict[str, int], list[Kept], list[Kept]]:
        """Of one moment: sequences, the newest message of each topic, and of each open event.

        A heartbeat tells nothing new, so it does not take the place of the status it repeats.
        """
        with self._lock:
            newest = [Kept(topic, body) for topic, body in self._newest.items()]
            return dict(self._sequences), newest, list(self._open.values())

    def tail(self, topic: str) -> Tail:
        """A topic's newest sequence and its messages, ascending without a gap."""
        with self._lock:
            return self._sequences.get(topic, 0), list(self._rings.get(topic, ()))

    def open_events(self) -> dict[str, Kept]:
        """By event id, the newest message of each that has not ended."""
        with self._lock:
            return dict(self._open)

    def add_open(self, events: Mapping[str, Kept]) -> None:
        """Take in what earlier runs left open, where it is learnt late."""
        with self._lock:
            self._open.update(events)

    def _note(self, message: Encoded) -> None:
        topic, payload = message.topic, message.payload
        if topic not in self._rings:
            _, kind = parse_topic(topic)
            self._rings[topic] = deque(maxlen=self._keep[kind])
        self._rings[topic].append((message.sequence, message.body))
        self._sequences[topic] = message.sequence
        if isinstance(payload, EventData):
            if payload.transition == "end":
                self._open.pop(payload.event_id, None)
            else:
                self._open[payload.event_id] = Kept(topic, message.body)
        repeats = isinstance(payload, StatusData) and payload.heartbeat
        if not repeats or topic not in self._newest:
            self._newest[topic] = message.body
