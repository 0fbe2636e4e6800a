"""What the journal costs: burst rate, CPU at a steady rate, latency; with it against without it.

    make bench-delivery

Runs alternate, so that a slow moment of the machine meets both. One subscriber listens throughout.
"""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamcls.config import load_settings
from tests.delivery.harness import settings_file
from tests.delivery.load import Load

BURST = 50_000
STEADY_PER_S, STEADY_S = 100, 10.0
PACED_PER_S, PACED = 500, 5_000
PAIRS = 5
EAR = """
import sys, zmq
ear = zmq.Context().socket(zmq.SUB)
ear.set(zmq.RCVHWM, 0)
ear.connect(sys.argv[1])
ear.subscribe("")
while True:
    ear.recv_multipart()
"""


@contextmanager
def delivering(journal: bool) -> Iterator[Load]:
    """A publisher with one subscriber, a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        settings = settings_file(
            Path(folder),
            publish="wait_for_subscriber_s = 30",
            journal=f"enabled = {str(journal).lower()}",
        )
        load = Load(load_settings(settings))
        ear = subprocess.Popen([sys.executable, "-c", EAR, load.delivery.endpoint])
        load.start()
        load.delivery.wait_for_subscriber(lambda: False)
        try:
            yield load
        finally:
            load.stop()
            ear.kill()
            ear.wait()


def burst(journal: bool) -> float:
    """Messages a second, posted at once, until the last has left."""
    with delivering(journal) as load:
        return BURST / load.send(BURST, 0)


def cpu_share(journal: bool) -> float:
    """Share of one core that publishing takes: every thread but the one that posts."""

    def spent_s() -> float:
        return time.process_time() - time.thread_time()

    with delivering(journal) as load:
        began, at = spent_s(), time.monotonic()
        load.send(round(STEADY_PER_S * STEADY_S), STEADY_PER_S)
        return (spent_s() - began) / (time.monotonic() - at)


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
    shares = [(cpu_share(True), cpu_share(False)) for _ in range(PAIRS)]
    with_it, without = (100 * statistics.median(side) for side in zip(*shares, strict=True))
    print(
        f"{STEADY_PER_S}/s: {with_it:.2f} % of one core journaled, {without:.2f} % not;"
        f" the journal takes {with_it - without:.2f} %"
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
