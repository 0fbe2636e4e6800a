"""`kill -9` at random moments: nothing published is missing, every started event has one end."""

import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zmq

from streamcls.events import EventData, decode
from streamcls.history import find_events
from tests.delivery.harness import PATIENCE_S, loading, settings_file
from tests.serving import free_port


class Witness:
    """A bare SUB socket that remembers every event message it ever saw, over all runs."""

    def __init__(self, endpoint: str) -> None:
        self.bodies: set[bytes] = set()
        self.news = threading.Event()
        self._over = threading.Event()
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.SUB)
        self._socket.set(zmq.RCVHWM, 0)
        self._socket.set(zmq.RECONNECT_IVL, 10)
        self._socket.connect(endpoint)
        self._socket.subscribe("")
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def close(self) -> None:
        self._over.set()
        self._thread.join()

    def _listen(self) -> None:
        while not self._over.is_set():
            while self._socket.poll(100):
                topic, body = self._socket.recv_multipart()
                if topic.endswith(b"/event/"):
                    self.bodies.add(body)
                    self.news.set()
        self._socket.close(0)


@contextmanager
def witness(endpoint: str) -> Iterator[Witness]:
    seen = Witness(endpoint)
    try:
        yield seen
    finally:
        seen.close()


@pytest.mark.parametrize("kills", [6, pytest.param(100, marks=pytest.mark.slow)])
@pytest.mark.timeout(900)
def test_a_kill_at_any_moment_loses_nothing_published_and_leaves_no_event_open(
    tmp_path: Path, kills: int
) -> None:
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    settings = settings_file(
        tmp_path,
        endpoint=endpoint,
        publish=f'replay_endpoint = "tcp://127.0.0.1:{free_port()}"',
    )
    moments = random.Random()
    with witness(endpoint) as seen:
        for _ in range(kills):
            with loading(settings) as load:
                seen.news.clear()
                load.begin(1_000_000, moments.choice([500, 5_000, 0]))
                assert seen.news.wait(PATIENCE_S), "nothing was published"
                time.sleep(moments.uniform(0, 0.5))
                os.kill(load.process.pid, signal.SIGKILL)
                load.process.wait()
        with loading(settings) as load:  # ends what the last kill left open
            load.send(60)
            load.stop()
    journal = tmp_path / "events.sqlite"
    kept = list(find_events(journal, since_utc_s=None, until_utc_s=None, streams=(), labels=()))
    missing = seen.bodies - set(kept)
    ends: Counter[str] = Counter()
    starts: Counter[str] = Counter()
    recovered = 0
    for body in kept:
        data = decode(b"streamcls/v1/any/event/", body).data
        assert isinstance(data, EventData)
        recovered += data.reason == "crash_recovered"
        (ends if data.transition == "end" else starts)[data.event_id] += 1
    print(
        f"{kills} kills: {len(seen.bodies)} messages seen, {len(kept)} journaled,"
        f" {len(missing)} missing, {len(starts)} events started, {recovered} ended crash_recovered"
    )
    assert not missing
    assert set(starts.values()) == {1}
    assert starts == ends
    assert recovered <= kills
    with sqlite3.connect(journal) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
