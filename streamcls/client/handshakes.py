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
    """Watches how one socket's connections begin. For the socket's own thread."""

    def __init__(self, watched: "zmq.Socket[bytes]") -> None:
        self._watched = watched
        self._monitor = watched.get_monitor_socket(sum(_TOLD))
        self._refusal = ""

    def refusal(self) -> str:
        """Why the latest connection was turned away; empty where it was not."""
        while not self._monitor.closed and self._monitor.poll(0):
            event = parse_monitor_message(self._monitor.recv_multipart())
            self._refusal = _TOLD.get(event["event"], self._refusal)
        return self._refusal

    def close(self) -> None:
        """Stop watching, before the socket is closed. Idempotent."""
        if not self._monitor.closed:
            self._watched.disable_monitor()
            self._monitor.close(0)
