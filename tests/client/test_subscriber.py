"""The subscribers on real sockets: waiting, repairing, asyncio."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamcls.client import AsyncSubscriber, Gap, Item, Silence, Subscriber
from streamcls.errors import StreamclsError
from streamcls.events import topic
from streamcls.keys import load_secret, new_keys
from tests.client.model import PREDICTION
from tests.client.serving import PATIENCE_S, Daemon, serving


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    with serving() as daemon:
        yield daemon


def subscriber(daemon: Daemon, kinds: tuple[str, ...] = ("event",), **more: object) -> Subscriber:
    made = Subscriber(
        daemon.endpoint,
        kinds=kinds,
        replay_endpoint=daemon.replay_endpoint,
        **more,  # type: ignore[arg-type]
    )
    daemon.await_subscriber()
    return made


def number(item: Item | None) -> int:
    assert item is not None
    assert not isinstance(item, Gap | Silence)
    return item.sequence


def test_losses_are_repaired_before_what_comes_after_them(daemon: Daemon) -> None:
    with subscriber(daemon) as items:
        daemon.publish()
        assert number(items.receive(PATIENCE_S)) == 1
        daemon.publish(lost=True)
        daemon.publish(lost=True)
        daemon.publish()
        assert [number(items.receive(PATIENCE_S)) for _ in range(3)] == [2, 3, 4]


def test_a_lost_tail_is_repaired_at_the_next_heartbeat(daemon: Daemon) -> None:
    with subscriber(daemon) as items:
        assert items.receive(0.1) is None
        daemon.publish(lost=True)
        daemon.heartbeat()
        assert number(items.receive(PATIENCE_S)) == 1


def test_iteration_gives_items_as_they_come(daemon: Daemon) -> None:
    with subscriber(daemon) as items:
        daemon.publish()
        daemon.publish()
        assert [number(item) for _, item in zip(range(2), items, strict=False)] == [1, 2]


def test_a_body_out_of_protocol_is_a_value_error_and_the_next_call_goes_on(daemon: Daemon) -> None:
    with subscriber(daemon) as items:
        daemon.send(topic("cam", "event").encode(), b"{}")
        with pytest.raises(ValueError, match="event message does not fit"):
            items.receive(PATIENCE_S)
        daemon.publish()
        assert number(items.receive(PATIENCE_S)) == 1


def test_a_timeout_holds_however_much_is_filtered_away(daemon: Daemon) -> None:
    stop = threading.Event()

    def chatter() -> None:
        while not stop.wait(0.005):
            daemon.publish(PREDICTION)

    with subscriber(daemon) as items:
        sender = threading.Thread(target=chatter)
        sender.start()
        try:
            assert items.receive(0.3) is None
        finally:
            stop.set()
            sender.join()


def test_silence_is_an_item_and_a_sign_of_life_is_recent(daemon: Daemon) -> None:
    with subscriber(daemon, silence_s=0.2) as items:
        item = items.receive(PATIENCE_S)
        assert isinstance(item, Silence)
        assert item.seconds >= 0.2
        assert items.heard_s_ago >= 0.2
        daemon.heartbeat()
        assert items.receive(0.1) is None
        assert items.heard_s_ago < 0.2


def test_endpoints_that_are_no_address_are_refused(daemon: Daemon) -> None:
    with pytest.raises(StreamclsError, match=r"tcp://127\.0\.0\.1:5599"):
        Subscriber("nonsense")
    with pytest.raises(StreamclsError, match=r"tcp://127\.0\.0\.1:5599"):
        Subscriber(daemon.endpoint, replay_endpoint="nonsense")


def test_one_key_without_the_other_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StreamclsError, match="give both or neither"):
        Subscriber("tcp://127.0.0.1:5599", server_key=tmp_path / "daemon.key")


def test_with_keys_both_connections_are_encrypted(tmp_path: Path) -> None:
    server_public, server_secret = new_keys(tmp_path, "daemon")
    _, own = new_keys(tmp_path, "me")
    with (
        serving(load_secret(server_secret).secret) as daemon,
        subscriber(daemon, secret_key=own, server_key=server_public) as items,
    ):
        daemon.publish()
        assert number(items.receive(PATIENCE_S)) == 1
        daemon.publish(lost=True)
        daemon.publish()
        assert [number(items.receive(PATIENCE_S)) for _ in range(2)] == [2, 3]


def test_a_closed_subscriber_leaves_no_socket_behind(daemon: Daemon) -> None:
    items = subscriber(daemon)
    items.close()
    items.close()
    with pytest.raises(StreamclsError, match="closed"):
        items.receive(0)


def test_asyncio_gives_the_same_and_lets_other_tasks_run(daemon: Daemon) -> None:
    async def follow() -> tuple[list[int], int]:
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        numbers = []
        async with AsyncSubscriber(
            daemon.endpoint, kinds=["event"], replay_endpoint=daemon.replay_endpoint
        ) as items:
            daemon.await_subscriber()
            task = asyncio.create_task(other())
            assert await items.receive(0.05) is None
            for index in range(300):
                daemon.publish(lost=index % 7 == 3)
            daemon.heartbeat()
            async for item in items:
                numbers.append(number(item))
                if len(numbers) == 300:
                    break
            task.cancel()
        return numbers, turns

    numbers, turns = asyncio.run(follow())
    assert numbers == list(range(1, 301))
    assert turns > 3


def test_a_cancelled_receive_loses_nothing(daemon: Daemon) -> None:
    async def follow() -> list[int]:
        async with AsyncSubscriber(
            daemon.endpoint, kinds=["event"], replay_endpoint=daemon.replay_endpoint
        ) as items:
            daemon.await_subscriber()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(items.receive(), 0.1)
            daemon.publish()
            return [number(await items.receive(PATIENCE_S))]

    assert asyncio.run(follow()) == [1]
