"""A process that publishes label events without video: the daemon's own way out, under load.

    python -m tests.delivery.load SETTINGS.toml

Says `ready ENDPOINT REPLAY_ENDPOINT` on standard output, then obeys lines on standard input:

    send COUNT RATE   publishes so many messages a second, 0 for as fast as it can; answers
                      `sent SECONDS`, the time until the last had left
    counts            answers what metrics read, as JSON
    stop              ends in good order

An event is two messages, a start and an end.
"""

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from streamcls.clock import SystemClock
from streamcls.config import Settings, load_settings
from streamcls.delivery import Delivery
from streamcls.events import EventData, StatusData, Transition, utc


class Load:
    """Events of every configured stream in turn, each started and later ended."""

    def __init__(self, settings: Settings) -> None:
        self._streams = [stream.id for stream in settings.streams]
        self._boot_id = uuid.uuid4().hex[:12]
        self._made = 0
        self.delivery = Delivery(
            settings.publish,
            settings.journal,
            settings.keys,
            streams=self._streams,
            boot_id=self._boot_id,
            clock=SystemClock(),
            on_end=self._ended,
        )

    def start(self) -> None:
        self.delivery.start()
        for stream in self._streams:
            self.delivery.post_status(stream, StatusData(state="up", since=utc(time.time())))

    def send(self, count: int, rate: float) -> float:
        """Publish so many messages; returns the seconds until the last had left."""
        all_sent = threading.Event()
        began = time.monotonic()
        for index in range(count):
            last = index == count - 1
            self.post(all_sent.set if last else None)
            if rate and (ahead_s := began + (index + 1) / rate - time.monotonic()) > 0:
                time.sleep(ahead_s)
        assert all_sent.wait(300)
        return time.monotonic() - began

    def stop(self) -> None:
        self.delivery.stop()
        assert self.delivery.join(20)

    def post(self, on_sent: Callable[[], None] | None) -> None:
        """Post the next message: 2k starts and 2k + 1 ends an event of stream k mod n."""
        event, over = divmod(self._made, 2)
        stream = self._streams[event % len(self._streams)]
        data = _event(f"{self._boot_id}-{stream}-{event}", "end" if over else "start", event)
        self._made += 1
        self.delivery.post(stream, partial(list, [data]), on_sent)

    def _ended(self, error: BaseException | None) -> None:
        if error:
            sys.stderr.write(f"ended by {error!r}\n")


def _event(event_id: str, transition: Transition, number: int) -> EventData:
    now = time.time()
    over = transition == "end"
    return EventData(
        event_id=event_id,
        transition=transition,
        label=("pan_left", "shaking", "covered")[number % 3],
        index=number % 3,
        stream_epoch=1,
        peak_score=0.93125,
        mean_score=0.81447,
        start_s=float(number),
        end_s=number + 1.25,
        start_time=utc(now - 1),
        end_time=utc(now),
        reason="label_off" if over else None,
    )


def main() -> None:
    """Obey standard input until it ends."""
    load = Load(load_settings(Path(sys.argv[1])))
    load.start()
    print(f"ready {load.delivery.endpoint} {load.delivery.replay_endpoint}", flush=True)
    for line in sys.stdin:
        command, *words = line.split()
        if command == "stop":
            break
        if command == "counts":
            print(json.dumps(asdict(load.delivery.counts())), flush=True)
            continue
        seconds = load.send(int(words[0]), float(words[1]))
        print(f"sent {seconds:.6f}", flush=True)
    load.stop()


if __name__ == "__main__":
    main()
