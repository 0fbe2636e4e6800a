"""A consumer process: notes every event it is handed in a file, and keeps a cursor."""

import os
import sys

from streamcls.client import Gap, Silence, Subscriber


def main(endpoint: str, replay_endpoint: str, cursor: str, notes: str) -> None:
    with (
        open(notes, "a") as file,
        Subscriber(
            endpoint,
            kinds=["event"],
            start="earliest",
            cursor=cursor,
            replay_endpoint=replay_endpoint,
        ) as items,
    ):
        for item in items:
            assert not isinstance(item, Gap | Silence)
            file.write(f"{item.sequence}\n")
            file.flush()
            os.fsync(file.fileno())


if __name__ == "__main__":
    main(*sys.argv[1:])
