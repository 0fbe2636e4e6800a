"""A daemon that does not let the client in: it says why, and lets it in once it may."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamcls.client import Gap, Silence, Subscriber, session
from streamcls.keys import new_keys
from tests.delivery.harness import LoadProcess, loading, settings_file


@pytest.fixture
def locked(tmp_path: Path) -> Iterator[LoadProcess]:
    """A publisher with keys and nobody authorised yet."""
    for name in ("daemon", "alice", "other"):
        new_keys(tmp_path, name)
    (tmp_path / "authorized").mkdir()
    keys = 'secret = "daemon.key_secret"\nauthorized = "authorized"'
    with loading(settings_file(tmp_path, keys=keys)) as load:
        yield load


def receive_until(items: Subscriber, true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true():
        assert time.monotonic() < deadline
        items.receive(0.1)


def test_an_unauthorised_key_is_told_and_gets_in_once_it_is_authorised(
    locked: LoadProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_REFUSED_S", 0.5)
    with Subscriber(
        locked.endpoint,
        replay_endpoint=locked.replay_endpoint,
        kinds=["event"],
        start="earliest",
        secret_key=tmp_path / "alice.key_secret",
        server_key=tmp_path / "daemon.key",
        silence_s=0.3,
    ) as items:
        receive_until(items, lambda: "refuses this client's key" in items.trouble)
        locked.send(50)
        shutil.copy(tmp_path / "alice.key", tmp_path / "authorized")
        heard: list[str] = []
        told: list[str] = []
        while len(heard) < 50:
            item = items.receive(20)
            assert item is not None
            assert not isinstance(item, Gap)
            if isinstance(item, Silence):
                told.append(str(item))
            else:
                heard.append(item.id)
        assert items.trouble == ""
    assert len(set(heard)) == 50
    assert all("no word from the daemon" in line for line in told)


@pytest.mark.parametrize("keys", [None, "other.key"])
def test_no_keys_or_those_of_another_daemon_are_told(
    locked: LoadProcess, tmp_path: Path, keys: str | None
) -> None:
    with Subscriber(
        locked.endpoint,
        replay_endpoint=locked.replay_endpoint,
        secret_key=tmp_path / "alice.key_secret" if keys else None,
        server_key=tmp_path / keys if keys else None,
    ) as items:
        receive_until(items, lambda: "wants keys" in items.trouble)
