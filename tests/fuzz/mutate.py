"""Changing bytes by chance, as disks, networks and people who mean harm do."""

import random
import re
from collections.abc import Callable, Sequence

_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**63, 2**64 - 1)
_WORDS: tuple[bytes, ...] = (
    *(b"", b"\0", b"\n", b'"', b"'", b"\\", b"{", b"}", b"[", b"]", b",", b"=", b"#", b"%s"),
    *(b"null", b"true", b"nan", b"NaN", b"inf", b"-1", b"0", b"1e400", b"1e-400", b"-0.0", b'""'),
    *(
        b"9" * 25,
        b"9" * 5000,
        b"[" * 3000,
        b'{"a":' * 3000,
        b"[[" * 60,
        b"x" * 70_000,
        b"[]",
        b"{}",
    ),
    *("\u202e\u0000\ufeff\U0001f4a5".encode(), b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"../.."),
)

Change = Callable[[bytes, random.Random], bytes]


def mutated(data: bytes, chance: random.Random, *, others: Sequence[bytes] = ()) -> bytes:
    """`data` after one to six changes; few are the commonest.

    Args:
        others: what pieces may be taken from, beside `data` itself.
    """
    for _ in range(min(chance.randint(1, 6), chance.randint(1, 6))):
        change = chance.choice(_CHANGES)
        data = change(data, chance) if data else _word(data, chance)
        if others and chance.random() < 0.1:
            data = _spliced(data, chance.choice(others), chance)
    return data


def damaged(data: bytes, chance: random.Random, *, start: int = 0) -> bytes:
    """`data` as a failing disk gives it: bits flipped, runs overwritten, or cut off.

    Args:
        start: what comes before it is left.
    """
    changed = bytearray(data)
    kind = chance.randrange(4)
    if kind == 0:
        return data[: chance.randint(start, len(data))]
    for _ in range(chance.choice((1, 1, 2, 5, 20, 100))):
        at = chance.randrange(start, len(data))
        if kind == 1:
            changed[at] ^= 1 << chance.randrange(8)
        elif kind == 2:
            changed[at] = chance.choice((0, 0xFF, 0x7F, chance.randrange(256)))
        else:
            run = changed[at : at + chance.randint(1, 64)]
            changed[at : at + len(run)] = chance.randbytes(len(run))
    return bytes(changed)


def _bit(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]


def _byte(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(1) + data[at + 1 :]


def _deletion(data: bytes, chance: random.Random) -> bytes:
    at, end = _span(data, chance)
    return data[:at] + data[end:]


def _repetition(data: bytes, chance: random.Random) -> bytes:
    at, end = _span(data, chance)
    return data[:end] + data[at:end] * chance.choice((1, 1, 2, 50)) + data[end:]


def _move(data: bytes, chance: random.Random) -> bytes:
    at, end = _span(data, chance)
    to = chance.randint(0, len(data))
    return data[:to] + data[at:end] + data[to:]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randint(0, len(data))]


def _word(data: bytes, chance: random.Random) -> bytes:
    at = chance.randint(0, len(data))
    return data[:at] + chance.choice(_WORDS) + data[at + chance.choice((0, 1, 4)) :]


def _number(data: bytes, chance: random.Random) -> bytes:
    """A binary number in place of some bytes."""
    size = chance.choice((1, 2, 4, 8))
    number = chance.choice(_NUMBERS) & ((1 << 8 * size) - 1)
    at = chance.randint(0, max(0, len(data) - size))
    order = chance.choice(("big", "little"))
    written = number.to_bytes(size, "big")
    return data[:at] + (written if order == "big" else written[::-1]) + data[at + size :]


def _digits(data: bytes, chance: random.Random) -> bytes:
    """Another number in place of a written one."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", data))
    if not found:
        return _word(data, chance)
    one = chance.choice(found)
    other = str(chance.choice((-1, 1)) * chance.choice(_NUMBERS)).encode()
    other = chance.choice((other, b"1e308", b"-1e-308", b"0.0", b"1e400", b"9" * 400, b'"1"'))
    return data[: one.start()] + other + data[one.end() :]


def _lines(data: bytes, chance: random.Random) -> bytes:
    """Whole lines doubled, lost or in another order."""
    lines = data.splitlines(keepends=True)
    kind, at = chance.randrange(3), chance.randrange(len(lines))
    if kind == 0:
        lines.insert(chance.randint(0, len(lines)), lines[at])
    elif kind == 1:
        del lines[at : at + chance.randint(1, 3)]
    else:
        chance.shuffle(lines)
    return b"".join(lines)


def _spliced(data: bytes, other: bytes, chance: random.Random) -> bytes:
    return data[: chance.randint(0, len(data))] + other[chance.randint(0, len(other)) :]


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    at = chance.randrange(len(data))
    return at, min(len(data), at + chance.choice((1, 2, 8, 30, len(data))))


_CHANGES: tuple[Change, ...] = (
    *(_bit, _byte, _deletion, _repetition, _move, _cut, _word, _word, _number, _digits, _lines),
)
