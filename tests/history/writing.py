"""A process that journals until it is killed: prints each group's newest sequence once recorded.

Arguments: the journal, the boot id, and the most bytes a file may have (0: no limit; once a line
comes on standard input the limit is lifted).
"""

import resource
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from streamcls.clock import SystemClock
from streamcls.events import EventData, Writer, utc
from streamcls.history import History, Journal
from tests.history.parts import event


def lift_when_told() -> None:
    sys.stdin.readline()
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def main() -> None:
    path, boot, limit = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    clock = SystemClock()
    kept = Journal(
        path,
        boot_id=boot,
        max_age_s=1e6,
        max_bytes=10**9,
        power_safe=False,
        predictions=False,
        clock=clock,
    )
    history = History(boot_id=boot, streams=["cam"], heartbeat_s=5, keep=10, journal=kept)
    writer = Writer("/test", boot)
    ends = [writer.encode(s, e, utc(clock.utc_s())) for s, e in recovered(history)]
    history.record(ends)
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        threading.Thread(target=lift_when_told, daemon=True).start()
    kept.start()
    number = 0
    while True:
        number += 1
        name = f"{boot}-{number}"
        payloads = [event(name), event(name, "update"), event(name, "end"), event(f"{name}-open")]
        if number > 1:
            payloads.append(event(f"{boot}-{number - 1}-open", "end"))
        group = [writer.encode("cam", payload, utc(clock.utc_s())) for payload in payloads]
        history.record(group)
        problems = history.problems
        print(group[-1].sequence, history.stats.journal_waiting, *problems, flush=True)
        if limit:  # slow enough that what waits for the disk stays within its bound
            time.sleep(0.001)


def recovered(history: History) -> Iterator[tuple[str, EventData]]:
    for stream, data in history.left_open():
        yield stream, replace(data, transition="end", reason="crash_recovered")


if __name__ == "__main__":
    main()
