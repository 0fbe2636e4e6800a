"""`watch` and `events` as their users run them: real processes on a real publisher and journal."""

import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from streamcls.clock import SystemClock
from streamcls.config import JournalSettings, KeySettings, PublishSettings, journal_path
from streamcls.delivery import Delivery
from streamcls.events import EventData, Payload, StatusData, utc
from streamcls.keys import new_keys
from tests.test_events import PAYLOADS

PATIENCE_S = 60.0  # these machines may be busy
PREDICTION = PAYLOADS[1]


def event(transition: str, name: str = "e1", label: str = "pan_left", ago_s: float = 60) -> Payload:
    start = time.time() - ago_s
    return EventData(
        event_id=name,
        transition=transition,  # type: ignore[arg-type]
        label=label,
        index=1,
        stream_epoch=1,
        peak_score=0.93,
        mean_score=0.8,
        start_s=4.2,
        end_s=8.1,
        start_time=utc(start),
        end_time=utc(start + 65),
        reason="label_off" if transition == "end" else None,
    )


class Published:
    """A daemon's way out, with a journal, without the daemon."""

    def __init__(self, folder: Path, *, keys: KeySettings, keep_predictions: int) -> None:
        self.journal = folder / "events.sqlite"
        self._delivery = Delivery(
            PublishSettings(
                endpoint="tcp://127.0.0.1:*", keep_predictions=keep_predictions, heartbeat_s=0.2
            ),
            JournalSettings(path=str(self.journal)),
            keys,
            streams=["yard", "gate"],
            boot_id="boot",
            clock=SystemClock(),
            on_end=lambda _error: None,
        )
        self._delivery.start()
        self.address = [
            *(self._delivery.endpoint, "--replay-endpoint", self._delivery.replay_endpoint)
        ]

    def post(self, *payloads: Payload, stream: str = "yard") -> None:
        """Publish, and return once all are out."""
        before = self._count()
        self._delivery.post(stream, lambda: list(payloads))
        wait_until(lambda: self._count() >= before + len(payloads))

    def close(self) -> None:
        self._delivery.stop()
        assert self._delivery.join(PATIENCE_S)

    def _count(self) -> int:
        counts = self._delivery.counts().published
        return sum(counts.values())


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@contextmanager
def publishing(
    folder: Path, keys: KeySettings | None = None, *, keep_predictions: int = 1000
) -> Iterator[Published]:
    published = Published(folder, keys=keys or KeySettings(), keep_predictions=keep_predictions)
    try:
        yield published
    finally:
        published.close()


def streamcls(*arguments: str | Path) -> tuple[int, str, str]:
    """Run a command to its end: exit code, standard output, standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "streamcls", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@contextmanager
def watching(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A running `watch`; whatever ends it, it must say nothing on standard error."""
    process = subprocess.Popen(
        [sys.executable, "-m", "streamcls", "watch", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # An empty value counts as unset: what is flushed must not depend on it.
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )
    try:
        yield process
        assert process.stderr
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe:
                pipe.close()


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def noted(cursor: Path, sequence: int) -> bool:
    """Whether a cursor file says that a message was shown."""
    if not cursor.exists():
        return False
    places = json.loads(cursor.read_text())["positions"].values()
    return any(place["sequence"] == sequence for place in places)


def document(process: subprocess.Popen[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(line_of(process))
    return found


def test_json_is_one_message_a_line_at_once_and_begins_with_what_is_open(tmp_path: Path) -> None:
    with publishing(tmp_path) as published:
        published.post(event("start"))
        with watching(*published.address, "--json", "--kind", "event") as process:
            first = document(process)
            assert (first["subject"], first["sequence"]) == ("yard", 1)
            assert first["data"]["transition"] == "start"
            published.post(event("end"))
            second = document(process)
            assert (second["sequence"], second["data"]["reason"]) == (2, "label_off")
            assert second["type"] == "streamcls.event.v1"
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0


def test_streams_and_labels_are_filtered(tmp_path: Path) -> None:
    with publishing(tmp_path) as published:
        published.post(event("start", "a"), event("start", "b", "shaking"))
        published.post(event("end", "b", "shaking"))
        published.post(event("start", "c", "shaking"), stream="gate")
        filters = ("--stream", "yard", "--label", "shaking", "--kind", "event")
        with watching(*published.address, "--json", "--earliest", *filters) as process:
            assert [document(process)["data"]["event_id"] for _ in range(2)] == ["b", "b"]
            published.post(event("end", "a"), event("start", "d", "shaking"))
            assert document(process)["data"]["event_id"] == "d"
            process.terminate()
            assert process.wait(PATIENCE_S) == 0, "SIGTERM is as good an end as Ctrl-C"


def test_a_cursor_goes_on_where_it_was_and_what_is_gone_is_told_as_a_gap(tmp_path: Path) -> None:
    with publishing(tmp_path, keep_predictions=2) as published:
        arguments = [*published.address, "--json", "--kind", "prediction", "--earliest"]
        arguments += ["--cursor", str(tmp_path / "cursor")]
        published.post(PREDICTION)
        with watching(*arguments) as process:
            assert document(process)["sequence"] == 1
            # What is shown is noted after it was shown: an end in between shows it again.
            end_s = time.monotonic() + PATIENCE_S
            while not noted(tmp_path / "cursor", 1) and time.monotonic() < end_s:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0
        for _ in range(5):
            published.post(PREDICTION)
        with watching(*arguments) as process:
            found = [document(process) for _ in range(3)]
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0
        assert found[0] == {
            "gap": {
                "stream": "yard",
                "kind": "prediction",
                "bootid": "boot",
                "first": 2,
                "last": 4,
                "reason": "expired",
            }
        }
        assert [message["sequence"] for message in found[1:]] == [5, 6]


@pytest.mark.parametrize("form", [["--json"], []])
def test_a_closed_pipe_ends_it_quietly(tmp_path: Path, form: list[str]) -> None:
    with publishing(tmp_path) as published:
        published.post(event("start"))
        with watching(*published.address, *form) as process:
            assert "pan_left" in line_of(process)
            assert process.stdout
            process.stdout.close()
            while process.poll() is None:
                published.post(event("update"))
                time.sleep(0.02)
            assert process.returncode == 0


def test_on_a_terminal_it_draws_the_board_and_leaves_the_screen_as_it_was(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with publishing(tmp_path) as published:
        published.post(StatusData(state="up", since=utc(time.time())), event("start"))
        process = subprocess.Popen(
            [sys.executable, "-m", "streamcls", "watch", *published.address],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "24"},
            start_new_session=True,
        )
        os.close(theirs)
        seen = b""
        try:
            while b"(1 min" not in seen:
                seen += os.read(ours, 65_536)
            process.send_signal(signal.SIGINT)
            while chunk := _read_or_end(ours):
                seen += chunk
            assert process.wait(PATIENCE_S) == 0
        finally:
            process.kill()
            process.wait()
            os.close(ours)
    enter, leave, show_cursor = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
    assert seen.count(enter) == seen.count(leave) == 1
    assert seen.endswith((leave + show_cursor, show_cursor + leave))
    assert b"1 event open" in seen
    assert b"Traceback" not in seen


def _read_or_end(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how a terminal says that nobody has it open any more
        return b""


def test_with_the_right_keys_it_hears_a_daemon_that_asks_for_them(tmp_path: Path) -> None:
    daemon, daemon_secret = new_keys(tmp_path / "daemon", "daemon")
    _, mine = new_keys(tmp_path / "authorized", "me")
    keys = KeySettings(secret=str(daemon_secret), authorized=str(tmp_path / "authorized"))
    with publishing(tmp_path, keys) as published:
        published.post(event("start"))
        asked = ("--json", "--kind", "event", "--secret-key", mine, "--server-key", daemon)
        with watching(*published.address, *asked) as process:
            assert document(process)["data"]["event_id"] == "e1"
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_S) == 0


def test_who_has_no_key_is_told_so_on_the_board_and_in_pipes(tmp_path: Path) -> None:
    keys = KeySettings(
        secret=str(new_keys(tmp_path, "daemon")[1]), authorized=str(tmp_path / "clients")
    )
    (tmp_path / "clients").mkdir()
    with publishing(tmp_path, keys=keys) as daemon, watching(*daemon.address) as process:
        assert process.stdout
        assert "wants keys" in process.stdout.readline()
        process.terminate()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["watch", "localhost"], ["localhost", "tcp://127.0.0.1:5599"]),
        (["watch", "--replay-endpoint", "tcp://x"], ["tcp://x", "tcp://127.0.0.1:5599"]),
        (["watch", "--kind", "events"], ["'events'", "prediction, event, status"]),
        (["watch", "--stream", "Front Door"], ["'Front Door'", "a-z, 0-9"]),
        (["watch", "--cursor", "/nowhere/cursor"], ["/nowhere/cursor"]),
        (["events", "--since", "yesterday"], ["'yesterday'", "1h30m", "2026-11-22T12:03:04"]),
        (["events", "--since", "1h", "--until", "2h"], ["--since 1h", "later"]),
        (["events", "--journal", "/nowhere/j.sqlite"], ["/nowhere/j.sqlite"]),
        (["events", "--journal", "a", "--config", "b"], ["--config", "--journal"]),
        (["events", "--config", "/nowhere/c.toml"], ["/nowhere/c.toml does not exist"]),
    ],
)
def test_what_was_mistyped_is_named_in_one_line_with_exit_code_2(
    arguments: list[str], words: list[str]
) -> None:
    code, out, error = streamcls(*arguments)
    assert (code, out, error.count("\n")) == (2, "", 1)
    assert error.startswith("streamcls: ")
    assert [word for word in words if word not in error] == []


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two events of a stream that ended and one that did not, and one of another stream."""
    with publishing(tmp_path_factory.mktemp("journal")) as published:
        published.post(event("start", "a"), event("start", "b", "shaking"), event("update", "a"))
        published.post(event("start", "c"), stream="gate")
        published.post(event("end", "b", "shaking"), event("end", "a"), PREDICTION)
    return published.journal


def test_events_are_a_line_each_with_their_whole_story(journal: Path) -> None:
    code, out, error = streamcls("events", "--since", "1h", "--journal", journal)
    assert (code, error) == (0, "")
    lines = [line.split(maxsplit=4) for line in out.splitlines()]
    assert len(lines) == 3
    assert lines[0][2] == "-"
    assert lines[0][4] == "yard         shaking        1 min 5 s peak 0.93 label_off"
    assert lines[1][4] == "yard         pan_left       1 min 5 s peak 0.93 label_off"
    assert " ".join(lines[2][2:]).startswith("still open gate         pan_left")


def test_events_as_json_are_every_message_as_published(journal: Path) -> None:
    code, out, error = streamcls("events", "--json", "--journal", journal, "--stream", "yard")
    assert (code, error) == (0, "")
    messages = [json.loads(line) for line in out.splitlines()]
    assert [(one["data"]["event_id"], one["data"]["transition"]) for one in messages] == [
        ("a", "start"),
        ("b", "start"),
        ("a", "update"),
        ("b", "end"),
        ("a", "end"),
    ]
    assert [one["sequence"] for one in messages] == [1, 2, 3, 4, 5]


def test_events_are_filtered_by_label_and_an_empty_answer_is_said_and_no_error(
    journal: Path,
) -> None:
    _, out, _ = streamcls("events", "--label", "shaking", "--journal", journal)
    assert (out.count("shaking"), out.count("\n")) == (1, 1)
    code, out, error = streamcls("events", "--until", "2h", "--journal", journal)
    assert (code, out, error) == (0, "", "no such events in the journal\n")


def test_events_find_the_journal_of_a_configuration(journal: Path) -> None:
    config = journal.with_name("streamcls.toml")
    config.write_text(
        '[[streams]]\nid = "yard"\nurl = "webcam:0"\n[journal]\npath = "events.sqlite"\n'
    )
    code, out, _ = streamcls("events", "--config", config)
    assert (code, out.count("\n")) == (0, 3)


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_what_cannot_be_written_is_said_in_one_line(journal: Path, form: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "streamcls", "events", "--journal", str(journal), *form],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "streamcls: cannot write: No space left on device\n"


def test_the_journal_is_where_systemd_or_the_user_keeps_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unset = JournalSettings()
    monkeypatch.setenv("STATE_DIRECTORY", "/var/lib/streamcls:/var/lib/other")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/me/state")
    assert journal_path(unset) == Path("/var/lib/streamcls/events.sqlite")
    assert journal_path(JournalSettings(path="/data/j.sqlite")) == Path("/data/j.sqlite")
    monkeypatch.delenv("STATE_DIRECTORY")
    assert journal_path(unset) == Path("/home/me/state/streamcls/events.sqlite")
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert journal_path(unset) == Path("/home/me/.local/state/streamcls/events.sqlite")
