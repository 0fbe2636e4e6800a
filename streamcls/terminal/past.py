"""Events out of the journal, each once instead of once a change."""

from collections.abc import Iterable, Iterator

import msgspec

from streamcls.events import EventMessage

_decoder = msgspec.json.Decoder(EventMessage)


def whole_events(bodies: Iterable[bytes]) -> Iterator[EventMessage]:
    """The last that was said of each event: the ended ones as they ended, then the open ones.

    Only open events are held, so a long journal needs little memory.

    Raises:
        ValueError: a body is not an event message.
    """
    still_open: dict[str, EventMessage] = {}
    for body in bodies:
        message = _decoder.decode(body)
        if message.data.transition == "end":
            still_open.pop(message.data.event_id, None)
            yield message
        else:
            still_open[message.data.event_id] = message
    yield from still_open.values()
