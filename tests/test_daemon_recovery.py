"""A daemon that is killed: the next ends what it had open, and its subscriber misses nothing."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamcls.client import Gap, Silence, Subscriber
from streamcls.config import load_settings
from streamcls.events import EventData, Message
from tests.models.small import write_small
from tests.serving import config, serving, stream
from tests.videos import write_video

# Every smoothed score opens an event, and none closes by itself.
EAGER = "[decisions]\nsmoothing_s = 0\non_threshold = 0.34\noff_threshold = 0\nmin_duration_s = 0\n"


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    write_small(tmp_path / "small.safetensors")
    video = write_video(tmp_path / "clip.mp4", frames=100, fps=25)
    streams = stream("yard", video, loop="true", stride_s="0.5")
    return config(tmp_path, streams, model="small.safetensors", more=EAGER)


def next_message(subscriber: Subscriber) -> Message:
    item = subscriber.receive(60)
    assert item is not None, "silence"
    assert not isinstance(item, Gap | Silence), item
    return item


def test_an_event_open_at_a_kill_is_ended_as_crash_recovered_and_nothing_is_missed(
    settings: Path,
) -> None:
    publish = load_settings(settings).publish
    log: list[Message] = []
    with Subscriber(publish.endpoint, replay_endpoint=publish.replay, kinds=["event"]) as items:
        with serving(settings) as served:
            while not log:
                log.append(next_message(items))
            served.process.send_signal(signal.SIGKILL)
            served.process.wait()
        with serving(settings) as served:
            while log[0].bootid == log[-1].bootid or not open_events(log):
                log.append(next_message(items))
            served.process.send_signal(signal.SIGTERM)
            while open_events(log):
                log.append(next_message(items))
            assert served.process.wait(60) == 0
    reasons = [message.data.reason for message in log if isinstance(message.data, EventData)]
    assert "crash_recovered" in reasons
    assert reasons[-1] in ("shutdown", "stream_lost")
    for boot in {message.bootid for message in log}:
        numbers = [message.sequence for message in log if message.bootid == boot]
        assert numbers == list(range(1, len(numbers) + 1))


def open_events(log: list[Message]) -> set[str]:
    """Ids of events started and not ended."""
    events = [message.data for message in log if isinstance(message.data, EventData)]
    ended = {event.event_id for event in events if event.transition == "end"}
    return {event.event_id for event in events} - ended


def test_two_daemons_never_share_a_journal(settings: Path) -> None:
    second = settings.with_name("second.toml")
    text = settings.read_text()
    chosen = load_settings(settings)
    for endpoint in (chosen.publish.endpoint, chosen.publish.replay):
        text = text.replace(endpoint, "tcp://127.0.0.1:*")
    second.write_text(text.replace(f"port = {chosen.http.port}", "port = 0"))
    with serving(settings) as served:
        served.wait_ready()
        other = subprocess.run(
            [sys.executable, "-m", "streamcls", "run", str(second)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert other.returncode == 1
        assert "[journal] path" in other.stderr
        assert served.process.poll() is None
