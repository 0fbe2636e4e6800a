"""The cursor file: at-least-once across errors, kills and damage."""

import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from streamcls.client import Gap, Silence, Subscriber
from streamcls.client.cursor import CursorFile
from streamcls.errors import StreamclsError
from streamcls.protocol import Position
from tests.client.serving import PATIENCE_S, Daemon, serving

AT = {"streamcls/v1/cam/event/": Position("run0", 3)}


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with serving() as daemon:
        yield daemon


def following(daemon: Daemon, cursor: Path) -> Subscriber:
    return Subscriber(
        daemon.endpoint,
        kinds=["event"],
        start="earliest",
        cursor=cursor,
        replay_endpoint=daemon.replay_endpoint,
    )


def numbers(items: Subscriber, count: int) -> list[int]:
    got = [items.receive(PATIENCE_S) for _ in range(count)]
    return [item.sequence for item in got if item and not isinstance(item, Gap | Silence)]


def fail_after_two(items: Subscriber, *, commit: bool = False) -> None:
    with suppress(ZeroDivisionError), items:
        assert numbers(items, 2) == [1, 2]
        if commit:
            items.commit()
        raise ZeroDivisionError


def test_what_is_saved_is_found_again_and_private(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    cursor = CursorFile(path)
    assert cursor.positions is None
    cursor.save(AT, 0.0)
    cursor.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = CursorFile(path)
    assert again.positions == AT
    again.close()


@pytest.mark.parametrize(
    "body", [b"", b"{", b"{}", b'{"format": "streamcls cursor 2", "positions": {}}', b"\xff" * 9]
)
def test_a_damaged_or_foreign_cursor_is_refused_by_name_and_left_as_it_is(
    tmp_path: Path, body: bytes
) -> None:
    path = tmp_path / "cursor"
    path.write_bytes(body)
    for _ in range(2):  # a refusal lets go of the lock
        with pytest.raises(StreamclsError, match=r"cursor.*delete it to start anew"):
            CursorFile(path)
    assert path.read_bytes() == body


def test_two_subscribers_cannot_share_a_cursor(tmp_path: Path) -> None:
    cursor = CursorFile(tmp_path / "cursor")
    with pytest.raises(StreamclsError, match="in use by another"):
        CursorFile(tmp_path / "cursor")
    cursor.close()
    CursorFile(tmp_path / "cursor").close()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StreamclsError, match="nowhere/cursor"):
        CursorFile(tmp_path / "nowhere" / "cursor")


def test_leaving_without_an_error_counts_the_last_item(daemon: Daemon, tmp_path: Path) -> None:
    for _ in range(4):
        daemon.publish()
    with following(daemon, tmp_path / "cursor") as items:
        assert numbers(items, 2) == [1, 2]
    with following(daemon, tmp_path / "cursor") as items:
        assert numbers(items, 2) == [3, 4]


def test_leaving_by_an_error_hands_the_last_item_out_again(daemon: Daemon, tmp_path: Path) -> None:
    for _ in range(3):
        daemon.publish()
    fail_after_two(following(daemon, tmp_path / "cursor"))
    with following(daemon, tmp_path / "cursor") as items:
        assert numbers(items, 2) == [2, 3]


def test_a_commit_counts_what_was_handed_out_before_it(daemon: Daemon, tmp_path: Path) -> None:
    for _ in range(3):
        daemon.publish()
    fail_after_two(following(daemon, tmp_path / "cursor"), commit=True)
    with following(daemon, tmp_path / "cursor") as items:
        assert numbers(items, 1) == [3]


def test_a_consumer_that_is_killed_again_and_again_processes_every_event(
    daemon: Daemon, tmp_path: Path
) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    command = [
        *(sys.executable, "-m", "tests.client.consumer"),
        *(daemon.endpoint, daemon.replay_endpoint, str(tmp_path / "cursor"), str(notes)),
    ]
    published, deadline_s = 0, time.monotonic() + PATIENCE_S
    for kill in range(3):
        process = subprocess.Popen(command)
        for _ in range(40):
            daemon.publish()
            published += 1
        enough = published if kill == 2 else published - 20
        while max((int(n) for n in notes.read_text().split()[:-1]), default=0) < enough - 1:
            daemon.publish()
            published += 1
            time.sleep(0.01)
            assert time.monotonic() < deadline_s, "the consumer does not come on"
        process.kill()
        process.wait()
    seen = [int(line) for line in notes.read_text().split()]
    assert set(seen) == set(range(1, max(seen) + 1))
    steps = [after - before for before, after in pairwise(seen)]
    assert sum(step != 1 for step in steps) <= 2  # only where it was started anew
