"""The model daemon on real sockets."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import zmq

from streamcls.events import Payload
from streamcls.protocol import decode_request, encode
from tests.client.model import EVENT, Frames, Model

PATIENCE_S = 20.0


class Daemon:
    """An XPUB socket to publish on, and a thread that answers on a ROUTER socket."""

    def __init__(self, publisher: "zmq.Socket[bytes]", router: "zmq.Socket[bytes]") -> None:
        self.model = Model(page=1000)
        self.endpoint = publisher.getsockopt_string(zmq.LAST_ENDPOINT)
        self.replay_endpoint = router.getsockopt_string(zmq.LAST_ENDPOINT)
        self._publisher = publisher
        self._router = router
        self._lock = threading.Lock()  # over the model
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._answer, name="model")

    def publish(self, payload: Payload = EVENT, *, lost: bool = False) -> Frames:
        with self._lock:
            frames = self.model.publish(payload=payload)
        if not lost:
            self._publisher.send_multipart(frames)
        return frames

    def heartbeat(self) -> None:
        with self._lock:
            frames = self.model.heartbeat()
        self._publisher.send_multipart(frames)

    def send(self, *frames: bytes) -> None:
        self._publisher.send_multipart(frames)

    def await_subscriber(self) -> None:
        assert self._publisher.poll(round(1000 * PATIENCE_S)), "nobody subscribed"
        self._publisher.recv()

    def _answer(self) -> None:
        while not self.over.is_set():
            if not self._router.poll(20):
                continue
            identity, body = self._router.recv_multipart()
            with self._lock:
                head, messages = self.model.respond(decode_request(body))
            parts = [part for pair in messages for part in pair]
            self._router.send_multipart([identity, encode(head), *parts])


@contextmanager
def serving(secret_key: bytes | None = None) -> Iterator[Daemon]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context.instance()
    publisher: zmq.Socket[bytes] = context.socket(zmq.XPUB)
    router: zmq.Socket[bytes] = context.socket(zmq.ROUTER)
    publisher.set(zmq.SNDHWM, 0)
    for socket in (publisher, router):
        if secret_key:
            socket.set(zmq.CURVE_SERVER, 1)
            socket.set(zmq.CURVE_SECRETKEY, secret_key)
        socket.bind("tcp://127.0.0.1:*")
    daemon = Daemon(publisher, router)
    daemon.thread.start()
    try:
        yield daemon
    finally:
        daemon.over.set()
        daemon.thread.join()
        publisher.close(0)
        router.close(0)
