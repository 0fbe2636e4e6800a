"""Why a daemon that is there does not let us in, as the connection's monitor tells it."""

import zmq
from zmq.utils.monitor import parse_monitor_message

_TOLD: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_SUCCEEDED: "",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: (
        "the daemon refuses this client's key; it has to be among its authorised ones"
    ),
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: (
        "what listens there wants keys, or has none or other ones, or is no streamcls daemon"
    ),
}
_TOLD[zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL] = _TOLD[zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL]


class Handshakes:
    """Watches how one socket's connection begins and ends. For the socket's own thread."""

    def __init__(self, watched: "zmq.Socket[bytes]") -> None:
        self._watched = watched
        self._monitor = watched.get_monitor_socket(sum(_TOLD) | zmq.EVENT_DISCONNECTED)
        self._refusal = ""
        self._connected = False

    def refusal(self) -> str:
        """Why the latest connection was turned away; empty where it was not."""
        self._look()
        return self._refusal

    def connected(self) -> bool:
        """Whether there is a connection, and its other end answers ZeroMQ's heartbeats."""
        self._look()
        return self._connected

    def _look(self) -> None:
        while not self._monitor.closed and self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())["event"]
            self._refusal = _TOLD.get(event, self._refusal)
            self._connected = event == zmq.EVENT_HANDSHAKE_SUCCEEDED

    def close(self) -> None:
        """Stop watching, before the socket is closed. Idempotent."""
        if not self._monitor.closed:
            self._watched.disable_monitor()
            self._monitor.close(0)
