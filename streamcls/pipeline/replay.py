"""The replaying thread: answers snapshots and replays, at a bounded rate, whoever asks."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar

import zmq

from streamcls.clock import Clock
from streamcls.protocol import (
    MAX_REQUEST_BYTES,
    Answer,
    Refusal,
    ReplayRequest,
    Request,
    decode_request,
    encode,
)

_TICK_S = 0.25  # how often a stop is noticed
_CUT_OFF_BYTES = 1_000_000  # a larger request ends its connection before it is read
_UNREAD_ANSWERS = 8  # held for a peer that does not read them
_MAX_FRAMES = 3  # identity, a REQ socket's empty frame, body
_REQUEST_COST = 5  # what a request costs of the rate, in messages, however little it asks for

Respond = Callable[[Request], tuple[Answer, Sequence[tuple[str, bytes]]]]
"""Gives the head of an answer and the messages, `(topic, body)`, that follow it.

Raises ValueError where what was asked for does not exist.
"""


class ReplayServer:
    """Serves a ROUTER socket. One request, one answer; nothing is kept between them.

    Peers take turns by ZeroMQ's fair queueing. Over the rate, requests wait where they are.

    Attributes:
        requests: how many were answered, by result: `ok`, or a refusal's reason.
        error: the exception that ended the thread, if one did.
    """

    SOCKET = zmq.ROUTER
    OPTIONS: ClassVar[dict[int, int]] = {
        zmq.SNDHWM: _UNREAD_ANSWERS,
        zmq.MAXMSGSIZE: _CUT_OFF_BYTES,
    }

    def __init__(
        self,
        *,
        socket: "zmq.Socket[bytes]",
        respond: Respond,
        messages_per_s: float,
        clock: Clock,
        on_fault: Callable[[str, BaseException], None],
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        """Store the parts; the socket is bound, of the kind and options above.

        Args:
            socket: the thread closes it.
            on_fault: told of a request that failed on our side.
            on_end: told that the thread is over, and of the error that ended it.
        """
        self.requests: Counter[str] = Counter()
        self.error: BaseException | None = None
        self._socket = socket
        self._respond = respond
        self._clock = clock
        self._allowance = Allowance(messages_per_s, clock.monotonic_s())
        self._on_fault = on_fault
        self._on_end = on_end
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End after the request in hand. Idempotent."""
        self._stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end, if there was a start; True if it came in time."""
        if self._thread.ident:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if self._socket.poll(round(1000 * _TICK_S)):
                    self._serve_one()
        except Exception as error:  # kept for the daemon, which ends the run with it
            self.error = error
        finally:
            self._socket.close()
        self._on_end(self.error)

    def _serve_one(self) -> None:
        envelope, body = self._receive()
        answer, messages = self._answer(body)
        result = answer.reason if isinstance(answer, Refusal) else "ok"
        self.requests[result] += 1
        frames = [*envelope, encode(answer)]
        for topic, message in messages:
            frames += (topic.encode(), message)
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.ZMQError:  # a peer that asks and does not read loses its answers
            self.requests["unread"] += 1
        pause_s = self._allowance.spend(_REQUEST_COST + len(messages), self._clock.monotonic_s())
        self._clock.wait(self._stopping, pause_s)

    def _receive(self) -> tuple[list[bytes], bytes | None]:
        """A request's envelope and body; without a body where it has the wrong number of frames."""
        frames = [self._socket.recv()]
        while self._socket.get(zmq.RCVMORE):
            part = self._socket.recv()
            if len(frames) <= _MAX_FRAMES:
                frames.append(part)
        is_req = len(frames) == _MAX_FRAMES and frames[1] == b""
        envelope = frames[:2] if is_req else frames[:1]
        rest = frames[len(envelope) :]
        return envelope, rest[0] if len(rest) == 1 else None

    def _answer(self, body: bytes | None) -> tuple[Answer, Sequence[tuple[str, bytes]]]:
        if body is None:
            return _refusal("malformed", "a request is one frame of JSON"), ()
        if len(body) > MAX_REQUEST_BYTES:
            return _refusal("oversize", f"a request has at most {MAX_REQUEST_BYTES} bytes"), ()
        try:
            request = decode_request(body)
        except ValueError as error:
            return _refusal("malformed", str(error)), ()
        try:
            return self._respond(request)
        except ValueError as error:
            return _refusal("unknown_topic", str(error), request.request), ()
        except Exception as error:  # a disk that fails must not end the publishing beside it
            kind = "a replay" if isinstance(request, ReplayRequest) else "a snapshot"
            self._on_fault(f"{kind} failed", error)
            return _refusal("unavailable", f"{kind} failed; see the log", request.request), ()


class Allowance:
    """How many messages may go out: so many a second, saved up for a second at most."""

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._left = per_s
        self._at_s = now_s

    def spend(self, count: int, now_s: float) -> float:
        """Note what went out; returns how long to pause before the next, seconds."""
        saved = self._left + (now_s - self._at_s) * self._per_s
        self._left = min(self._per_s, saved) - count
        self._at_s = now_s
        return max(0.0, -self._left / self._per_s)


def _refusal(reason: str, detail: str, request: int = 0) -> Refusal:
    return Refusal(request=request, reason=reason, detail=detail)
