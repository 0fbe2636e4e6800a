"""Which topics to follow, and which of their messages the caller wants to see."""

from collections.abc import Iterable
from typing import NamedTuple

from streamcls.config.sections import STREAM_ID
from streamcls.errors import StreamclsError
from streamcls.events import (
    KINDS,
    TOPIC_ROOT,
    EventData,
    Message,
    PredictionData,
    kind_of,
    parse_topic,
    topic,
)


class Channel(NamedTuple):
    """One topic, taken apart."""

    topic: str
    stream: str
    kind: str


class Wanted:
    """The caller's filters.

    Raises:
        StreamclsError: a kind or stream id that cannot be, or no kind at all.
    """

    def __init__(
        self, *, streams: Iterable[str], kinds: Iterable[str], labels: Iterable[str]
    ) -> None:
        self.streams = _names("streams", streams)
        self._kinds = frozenset(_names("kinds", kinds))
        self._labels = frozenset(_names("labels", labels))
        self._channels: dict[bytes, Channel | None] = {}
        choices = "choose among " + ", ".join(KINDS)
        if not self._kinds:
            raise StreamclsError(f"`kinds` is empty, so nothing would be heard; {choices}")
        for kind in sorted(self._kinds.difference(KINDS)):
            raise StreamclsError(f"`kinds` has {kind!r}, which is none; {choices}")
        for stream in self.streams:
            if not STREAM_ID.fullmatch(stream):
                raise StreamclsError(
                    f"`streams` has {stream!r}, which no stream can be called;"
                    " ids are 1 to 64 of a-z, 0-9, `_` and `-`"
                )

    def prefixes(self) -> list[str]:
        """What to subscribe to. Status is always among it: heartbeats tell what was missed."""
        if not self.streams:
            return [f"{TOPIC_ROOT}/"]
        kinds = sorted(self._kinds | {"status"})
        return [topic(stream, kind) for stream in self.streams for kind in kinds]

    def channel(self, topic_frame: bytes) -> Channel | None:
        """The topic, if it matters here.

        Raises:
            ValueError: it is not of this protocol.
        """
        try:
            return self._channels[topic_frame]
        except KeyError:
            channel = self._parse(topic_frame.decode("utf-8", "replace"))
            self._channels[topic_frame] = channel
            return channel

    def follows(self, name: str) -> bool:
        """Whether a topic is a log to follow without a hole. Status is not: it is a state."""
        try:
            channel = self.channel(name.encode())
        except ValueError:
            return False
        return channel is not None and channel.kind != "status"

    def followed(self, stream: str, kind: str) -> bool:
        """The same for a stream's kind."""
        return kind in self._kinds and kind != "status" and self._hears(stream)

    def passes(self, message: Message) -> bool:
        """Whether the caller is to see a message of a topic that matters."""
        data = message.data
        if kind_of(data) not in self._kinds:
            return False
        if not self._labels:
            return True
        if isinstance(data, EventData):
            return data.label in self._labels
        if isinstance(data, PredictionData):
            return bool(data.top) and data.top[0].label in self._labels
        return True

    def _hears(self, stream: str) -> bool:
        return not self.streams or stream in self.streams

    def _parse(self, name: str) -> Channel | None:
        parts = name.split("/")
        if len(parts) == 5 and name.startswith(f"{TOPIC_ROOT}/") and parts[3] not in KINDS:
            return None  # a kind that a newer daemon has and nobody here can have asked for
        stream, kind = parse_topic(name)
        matters = kind == "status" or kind in self._kinds
        return Channel(name, stream, kind) if matters and self._hears(stream) else None


def _names(what: str, names: Iterable[str]) -> list[str]:
    if isinstance(names, str):
        raise StreamclsError(f"`{what}` is the text {names!r}; give a list: [{names!r}]")
    return list(dict.fromkeys(names))
