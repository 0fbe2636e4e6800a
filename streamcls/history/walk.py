"""What a replay answers, from the runs and the messages that are left of a topic. Pure."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from streamcls.protocol import MAX_REPLAY_BYTES, Missing, Position, Replay, ReplayRequest

_MAX_MISSING = 1000  # in one answer; a daemon that crashed over and over leaves many


class Kept(NamedTuple):
    """A message as it was published."""

    topic: str
    body: bytes


class Run(NamedTuple):
    """One run of the daemon, as a topic saw it."""

    bootid: str
    last: int | None
    """Its newest sequence; None: nobody knows."""


class Place(NamedTuple):
    """A sequence of the run with this index; places sort as they were published."""

    run: int
    sequence: int


Found = tuple[Place, bytes]
"""Where a message that is still kept belongs, and its body."""


def place_of(position: Position | None, runs: Sequence[Run]) -> Place | None:
    """Where a position is; None where its run is unknown."""
    for index, run in enumerate(runs):
        if position and run.bootid == position.bootid:
            return Place(index, position.sequence)
    return None


def walk(
    request: ReplayRequest, runs: Sequence[Run], found: Sequence[Found]
) -> tuple[Replay, list[Kept]]:
    """Answer a replay.

    Args:
        runs: oldest first; the last is the present one, whose `last` is known.
        found: what is kept after `request.after`, sorted; of more than `request.limit` messages
            the first `limit + 1` will do.
    """
    end = _end(request.to, runs)
    at = place_of(request.after, runs)
    missing: list[Missing] = []
    if at is None:
        at = Place(0, 0)
        if request.after:
            lost = request.after
            missing.append(Missing(lost.bootid, lost.sequence + 1, None, before=0))
        else:  # trimmed beginnings are not missing
            at = Place(found[0][0].run, found[0][0].sequence - 1) if found else end
    messages, at, more = _collect(runs, found, missing, at, end, request.limit)
    through = None
    if request.after or messages or at > Place(0, 0):
        through = Position(runs[at.run].bootid, at.sequence)
    head = Replay(
        request=request.request, topic=request.topic, through=through, more=more, missing=missing
    )
    return head, [Kept(request.topic, body) for body in messages]


def _collect(
    runs: Sequence[Run],
    found: Sequence[Found],
    missing: list[Missing],
    at: Place,
    end: Place,
    limit: int,
) -> tuple[list[bytes], Place, bool]:
    """The bodies of one answer, how far it covers and whether there is more; adds to `missing`."""
    messages: list[bytes] = []
    size = 0
    for place, body in found:
        if not at < place <= end:
            continue
        size += len(body)
        if messages and (len(messages) == limit or size > MAX_REPLAY_BYTES):
            return messages, at, True
        for hole, covered in _holes(runs, at, place, before=len(messages)):
            if len(missing) == _MAX_MISSING:
                return messages, at, True
            missing.append(hole)
            at = covered
        messages.append(body)
        at = place
    for hole, covered in _holes(runs, at, Place(end.run, end.sequence + 1), before=len(messages)):
        if len(missing) == _MAX_MISSING:
            return messages, at, True
        missing.append(hole)
        at = covered
    return messages, max(at, end), False


def _end(to: Position | None, runs: Sequence[Run]) -> Place:
    """The last place wanted; a run that is unknown bounds nothing."""
    place = place_of(to, runs)
    if place is None:
        place = Place(len(runs) - 1, runs[-1].last or 0)
    last = runs[place.run].last
    return place if last is None else Place(place.run, min(place.sequence, last))


def _holes(
    runs: Sequence[Run], at: Place, until: Place, *, before: int
) -> Iterator[tuple[Missing, Place]]:
    """What lies between two places, run by run, and how far each hole covers."""
    run, sequence = at
    while run < until.run:
        bootid, last = runs[run]
        if last is None:
            yield Missing(bootid, sequence + 1, None, before), Place(run + 1, 0)
        elif last > sequence:
            yield Missing(bootid, sequence + 1, last, before), Place(run, last)
        run, sequence = run + 1, 0
    if sequence + 1 < until.sequence:
        last = until.sequence - 1
        yield Missing(runs[run].bootid, sequence + 1, last, before), Place(run, last)
