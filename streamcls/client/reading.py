"""Frames as they come, taken apart; what cannot be read keeps its place in the order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import msgspec
from msgspec import Meta

from streamcls.client.wanted import Channel, Wanted
from streamcls.events import Message, StatusData, decode
from streamcls.protocol import MAX_SEQUENCE, Answer, decode_answer


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A message that cannot be read, though its number can."""

    bootid: str
    sequence: int
    error: ValueError


Heard = tuple[Channel, Message | Spoiled]


class _Number(msgspec.Struct):
    bootid: str
    sequence: Annotated[int, Meta(ge=1, le=MAX_SEQUENCE)]


def read(wanted: Wanted, frames: Sequence[bytes]) -> Heard | None:
    """A message that matters, or None for any other.

    Raises:
        ValueError: it is of no known form, and not even its number can be read.
    """
    if len(frames) != 2:
        raise ValueError(f"a message has 2 frames, topic and body; this one has {len(frames)}")
    channel = wanted.channel(frames[0])
    if channel is None:
        return None
    try:
        message = decode(frames[0], frames[1])
        _check_numbers(message)
        return channel, message
    except ValueError as error:
        spoiled = ValueError(f"{channel.topic}: {error}")
    try:
        number = msgspec.json.decode(frames[1], type=_Number)
    except (ValueError, RecursionError):
        raise spoiled from None
    return channel, Spoiled(number.bootid, number.sequence, spoiled)


def _check_numbers(message: Message) -> None:
    """Refuse numbers that no message can have, before they become somebody's position."""
    named = message.data.sequences.values() if isinstance(message.data, StatusData) else ()
    if message.sequence < 1 or not all(0 <= n <= MAX_SEQUENCE for n in (message.sequence, *named)):
        raise ValueError(f"messages are numbered from 1 to {MAX_SEQUENCE}; this names another")


def read_answer(frames: Sequence[bytes]) -> tuple[Answer, list[Sequence[bytes]]]:
    """The head of an answer, and the messages that follow it as pairs of frames.

    Raises:
        ValueError: it is not an answer.
    """
    head = decode_answer(frames[0])
    if len(frames) % 2 == 0:
        raise ValueError(f"not an answer: it has {len(frames)} frames; expected 1 + 2 n")
    return head, [frames[at : at + 2] for at in range(1, len(frames), 2)]
