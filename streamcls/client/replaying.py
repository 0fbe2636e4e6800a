"""Taking in a replay: its messages, and what it says is missing between them."""

from collections import deque
from collections.abc import Sequence
from collections.abc import Set as AbstractSet

from streamcls.client.ledger import Ledger
from streamcls.client.reading import Spoiled, read
from streamcls.client.wanted import Wanted
from streamcls.protocol import Replay


def take_replay(
    ledger: Ledger,
    wanted: Wanted,
    head: Replay,
    messages: Sequence[Sequence[bytes]],
    *,
    earlier: AbstractSet[str],
) -> None:
    """Queue one answer's messages and gaps, and go to where it says that it leads.

    Args:
        earlier: the daemon's runs that are known to be over.
    """
    name = head.topic
    missing = deque(sorted(head.missing, key=lambda gone: gone.before))
    for index, frames in enumerate(messages):
        while missing and missing[0].before <= index:
            ledger.lose(name, missing.popleft())
        _take(ledger, wanted, name, frames)
    for gone in missing:
        ledger.lose(name, gone)
    position, through = ledger.positions.get(name), head.through
    if through is None:
        return
    if position is None:
        ledger.move(name, through)
    elif position.bootid in earlier or through.bootid not in earlier:
        ledger.reach(name, through, "expired", tail=False)


def _take(ledger: Ledger, wanted: Wanted, name: str, frames: Sequence[bytes]) -> None:
    try:
        heard = read(wanted, frames)
    except ValueError as error:
        position = ledger.positions.get(name)
        if position is None:
            ledger.show(error)
        else:  # in a replay its place tells its number
            number = position.sequence + 1
            ledger.replay(name, Spoiled(position.bootid, number, error))
        return
    if heard and heard[0].topic == name:
        ledger.replay(name, heard[1])
