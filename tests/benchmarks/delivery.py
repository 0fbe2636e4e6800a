"""What the journal costs: burst rate, CPU at a steady rate, latency; with it against without it.

    make bench-delivery

Runs alternate, so that a slow moment of the machine meets both. One subscriber listens throughout.
"""

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import zmq

from streamcls.config import load_settings
from tests.delivery.harness import settings_file
from tests.delivery.load import Load

BURST = 50_000
STEADY_PER_S, STEADY_S = 100, 15.0
PACED_PER_S, PACED = 500, 5_000
PAIRS = 5


@contextmanager
def delivering(journal: bool) -> Iterator[Load]:
    """A publisher with one subscriber that is a thread of libzmq's and costs no Python."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_file(Path(folder), journal=f"enabled = {str(journal).lower()}")
        load = Load(load_settings(settings))
        ear: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        ear.set(zmq.RCVHWM, 0)
        ear.connect(load.delivery.endpoint)
        ear.subscribe("")
        load.start()
        time.sleep(0.3)
        try:
            yield load
        finally:
            load.stop()
            ear.close(0)


def burst(journal: bool) -> float:
    """Messages a second, posted at once, until the last has left."""
    with delivering(journal) as load:
        return BURST / load.send(BURST, 0)


def cpu_share(per_s: float) -> float:
    """Share of one core that the whole process takes at so many events a second."""
    with delivering(journal=True) as load:
        began = time.process_time(), time.monotonic()
        if per_s:
            load.send(round(per_s * STEADY_S), per_s)
        else:
            time.sleep(STEADY_S)
        return (time.process_time() - began[0]) / (time.monotonic() - began[1])


def latencies_ms(journal: bool) -> list[float]:
    """From post to sent, one message at a time at a steady rate."""
    taken: list[float] = []
    over = threading.Event()
    with delivering(journal) as load:
        began = time.monotonic()
        for index in range(PACED):
            posted = time.perf_counter()

            def sent(posted: float = posted) -> None:
                taken.append(1000 * (time.perf_counter() - posted))
                if len(taken) == PACED:
                    over.set()

            load.post(sent)
            time.sleep(max(0.0, began + (index + 1) / PACED_PER_S - time.monotonic()))
        assert over.wait(60)
    return taken


def percentile(values: list[float], share: float) -> float:
    """The value that this share of the values does not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    """Measure and print."""
    pairs = [(burst(True), burst(False)) for _ in range(PAIRS)]
    with_it, without = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(on / off for on, off in pairs)
    print(f"burst of {BURST}: {with_it:.0f}/s journaled, {without:.0f}/s not; ratio {ratio:.2f}")
    idle, steady = cpu_share(0), cpu_share(STEADY_PER_S)
    print(
        f"{STEADY_PER_S}/s journaled: {100 * steady:.2f} % of one core in all,"
        f" {100 * idle:.2f} % when idle"
    )
    runs = [(latencies_ms(True), latencies_ms(False)) for _ in range(PAIRS)]
    for share in (0.5, 0.99):
        sides = [(percentile(on, share), percentile(off, share)) for on, off in runs]
        on, off = (statistics.median(side) for side in zip(*sides, strict=True))
        ratio = statistics.median(a / b for a, b in sides)
        print(
            f"p{100 * share:.0f} from post to sent: {on:.3f} ms journaled, {off:.3f} ms not;"
            f" ratio {ratio:.2f}"
        )


if __name__ == "__main__":
    main()
