"""The two sockets of a subscriber. Connecting, and connecting again, is ZeroMQ's."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import zmq

from streamcls.client.asking import Ask
from streamcls.client.handshakes import Handshakes
from streamcls.endpoints import check_endpoint
from streamcls.errors import StreamclsError
from streamcls.keys import load_public, load_secret

_OPTIONS: dict[int, int | bytes] = {
    zmq.LINGER: 0,
    zmq.RECONNECT_IVL: 100,
    zmq.RECONNECT_IVL_MAX: 5_000,
    zmq.CONNECT_TIMEOUT: 5_000,
    # A connection whose other end went away without a word is given up after 5 + 10 s.
    zmq.HEARTBEAT_IVL: 5_000,
    zmq.HEARTBEAT_TIMEOUT: 10_000,
}

Keys = dict[int, bytes]
"""CURVE options by number; none without keys."""


class Wiring:
    """A SUB socket for what is published, a DEALER for what is asked. For one thread.

    Raises:
        StreamclsError: an endpoint is not an address.
    """

    def __init__(
        self,
        endpoint: str,
        replay_endpoint: str,
        *,
        prefixes: Sequence[str],
        queue_size: int,
        keys: Keys,
    ) -> None:
        self._endpoint = endpoint
        self.replay_endpoint = replay_endpoint
        self._options = {**_OPTIONS, **keys}
        self.published = self._connect(zmq.SUB, endpoint, {zmq.RCVHWM: queue_size})
        self._hearing = Handshakes(self.published)
        try:
            self.answers = self._connect(zmq.DEALER, replay_endpoint, {})
        except StreamclsError:
            self._close_published()
            raise
        self._asking = Handshakes(self.answers)
        for prefix in prefixes:
            self.published.subscribe(prefix)

    def send(self, ask: Ask) -> None:
        """Send a request; never blocks. What cannot go out goes unanswered."""
        if ask.again and not self._asking.connected():
            self._close_answers()  # with what waits in it
            self.answers = self._connect(zmq.DEALER, self.replay_endpoint, {})
            self._asking = Handshakes(self.answers)
        try:
            self.answers.send(ask.body, zmq.NOBLOCK)
        except zmq.Again:
            return

    def refusal(self) -> str:
        """Why the daemon turned the latest connection away; empty where it did not."""
        return self._hearing.refusal()

    def connected(self) -> bool:
        """Whether the daemon is there."""
        return self._hearing.connected()

    def hang_up(self) -> None:
        """End the connection for what is published: where it is refused, ZeroMQ gives up for ever,
        or, as with the key of another daemon, tries again many times a second."""
        with suppress(zmq.ZMQError):  # there is none
            self.published.disconnect(self._endpoint)

    def connect_again(self) -> None:
        """Begin that connection anew."""
        self.hang_up()
        self.published.connect(self._endpoint)

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._close_published()
        self._close_answers()

    def _close_published(self) -> None:
        self._hearing.close()
        self.published.close()

    def _close_answers(self) -> None:
        self._asking.close()
        self.answers.close()

    def _connect(self, kind: int, endpoint: str, more: dict[int, int]) -> "zmq.Socket[bytes]":
        try:
            check_endpoint("endpoint" if kind == zmq.SUB else "replay_endpoint", endpoint)
        except ValueError as error:
            raise StreamclsError(str(error)) from None
        socket: zmq.Socket[bytes] = zmq.Context.instance().socket(kind)
        try:
            for option, value in (*self._options.items(), *more.items()):
                socket.set(option, value)
            socket.set(zmq.IPV6, int("[" in endpoint))
            socket.connect(endpoint)
        except zmq.ZMQError as error:
            socket.close()
            raise StreamclsError(
                f"cannot subscribe to {endpoint}: {zmq.strerror(error.errno or 0)};"
                " an endpoint looks like tcp://127.0.0.1:5599"
            ) from None
        return socket


def receive(socket: "zmq.Socket[Any]") -> list[bytes] | None:
    """What has come, if anything has."""
    try:
        frames: list[bytes] = socket.recv_multipart(zmq.NOBLOCK)
    except zmq.Again:
        return None
    return frames


def keys_of(secret_key: str | Path | None, server_key: str | Path | None) -> Keys:
    """The options that encrypt a connection and prove who we are.

    Raises:
        StreamclsError: one key without the other, or a file that holds none.
    """
    if secret_key is None and server_key is None:
        return {}
    if secret_key is None or server_key is None:
        raise StreamclsError(
            "`secret_key` (this client's file) and `server_key` (the daemon's public key)"
            " go together; give both or neither"
        )
    own = load_secret(Path(secret_key))
    return {
        zmq.CURVE_PUBLICKEY: own.public,
        zmq.CURVE_SECRETKEY: own.secret,
        zmq.CURVE_SERVERKEY: load_public(server_key),
    }
