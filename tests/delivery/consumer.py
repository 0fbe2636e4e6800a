"""A consumer process: writes down what it was given, one line an item, and says when it is there.

    python -m tests.delivery.consumer OUT ENDPOINT REPLAY_ENDPOINT START CURSOR|- CRASH_AFTER|0

Lines are tab-separated: `message TOPIC BOOTID SEQUENCE ID` or `gap TOPIC BOOTID FIRST LAST`. With
`CRASH_AFTER` it dies by SIGKILL as it handles that item, before it could ask for the next.
"""

import os
import signal
import sys

from streamcls.client import Gap, Silence, Subscriber
from streamcls.events import kind_of, topic


def main() -> None:
    """Consume until killed."""
    out, endpoint, replay_endpoint, start, cursor = sys.argv[1:6]
    crash_after = int(sys.argv[6])
    with (
        Subscriber(
            endpoint,
            kinds=["event"],
            start=start,  # type: ignore[arg-type]
            cursor=None if cursor == "-" else cursor,
            replay_endpoint=replay_endpoint,
        ) as items,
        open(out, "a", buffering=1) as log,
    ):
        print("subscribed", flush=True)
        for count, item in enumerate(items, 1):
            if isinstance(item, Gap):
                name = topic(item.stream, item.kind)
                log.write(f"gap\t{name}\t{item.bootid}\t{item.first}\t{item.last}\n")
            elif not isinstance(item, Silence):
                name = topic(item.subject, kind_of(item.data))
                log.write(f"message\t{name}\t{item.bootid}\t{item.sequence}\t{item.id}\n")
            if count == crash_after:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
