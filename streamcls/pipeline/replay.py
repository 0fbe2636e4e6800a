"""The replaying thread: answers snapshots and replays, at a bounded rate, whoever asks."""

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from typing import ClassVar

import msgspec
import zmq

from streamcls.clock import Clock
from streamcls.errors import StreamclsError
from streamcls.protocol import (
    MAX_REQUEST_BYTES,
    Answer,
    Reason,
    Refusal,
    ReplayRequest,
    Request,
    decode_request,
    encode,
)

_TICK_S = 0.25  # how often a stop is noticed
_CUT_OFF_BYTES = 2 * MAX_REQUEST_BYTES  # a larger request ends its connection before it is read
_UNREAD_REQUESTS = 16  # of one peer that wait their turn; more stay with the peer
_UNREAD_ANSWERS = 8  # held for a peer that does not read them
_MAX_FRAMES = 3  # identity, a REQ socket's empty frame, body
_REQUEST_COST = 5  # what a request costs of the rate, in messages, however little it asks for
_LEAST = 20  # messages that any answer may have, so that its request is not most of what it costs
_FAULT_EVERY_S = 60.0  # one and the same fault is told so often

Respond = Callable[[Request], tuple[Answer, Sequence[tuple[str, bytes]]]]
"""Gives the head of an answer and the messages, `(topic, body)`, that follow it.

Raises ValueError where what was asked for does not exist, and StreamclsError where it cannot be
had and the log says why.
"""


class ReplayServer:
    """Serves a ROUTER socket. One request, one answer; nothing is kept between them.

    Peers take turns by ZeroMQ's fair queueing. Over the rate, requests wait where they are, and
    replays get shorter, so that a turn among many peers does not take long.

    Attributes:
        requests: how many came, by result: a refusal's reason, or `ok`, or for an answer that
            could not be sent, `unread` (the peer does not read) or `gone` (it has left).
        messages: how many went out in answers.
        error: the exception that ended the thread, if one did.
    """

    SOCKET = zmq.ROUTER
    OPTIONS: ClassVar[dict[int, int]] = {
        zmq.RCVHWM: _UNREAD_REQUESTS,
        zmq.SNDHWM: _UNREAD_ANSWERS,
        zmq.MAXMSGSIZE: _CUT_OFF_BYTES,
        zmq.ROUTER_MANDATORY: 1,  # else what cannot be sent is dropped without a word
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
            on_fault: told of a request that failed on our side and of nobody knows what; of one
                and the same fault once a minute.
            on_end: told that the thread is over, and of the error that ended it.
        """
        self.requests: Counter[str] = Counter()
        self.messages = 0
        self.error: BaseException | None = None
        self._socket = socket
        self._respond = respond
        self._clock = clock
        self._allowance = Allowance(messages_per_s, clock.monotonic_s())
        self._on_fault = on_fault
        self._told_at_s: dict[str, float] = {}
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
        frames = [*envelope, encode(answer)]
        for topic, message in messages:
            frames += (topic.encode(), message)
        sent = self._send(frames)
        if sent == "ok":
            self.messages += len(messages)
        self.requests[answer.reason if isinstance(answer, Refusal) else sent] += 1
        pause_s = self._allowance.spend(_REQUEST_COST + len(messages), self._clock.monotonic_s())
        self._clock.wait(self._stopping, pause_s)

    def _send(self, frames: list[bytes]) -> str:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK)
        except zmq.Again:
            return "unread"
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            return "gone"
        return "ok"

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
            detail = f"a request has at most {MAX_REQUEST_BYTES} bytes"
            return _refusal("oversize", detail, _number_in(body)), ()
        try:
            request = decode_request(body)
        except ValueError as error:
            return _refusal("malformed", str(error), _number_in(body)), ()
        kind = "a snapshot"
        if isinstance(request, ReplayRequest):
            kind = "a replay"
            room = self._allowance.room(self._clock.monotonic_s())
            request = msgspec.structs.replace(request, limit=min(request.limit, room))
        try:
            return self._respond(request)
        except ValueError as error:
            return _refusal("unknown_topic", str(error), request.request), ()
        except StreamclsError:
            pass
        except Exception as error:  # what fails here must not end the publishing beside it
            self._tell_fault(f"{kind} failed", error)
        return _refusal("unavailable", f"{kind} failed; see the log", request.request), ()

    def _tell_fault(self, what: str, error: BaseException) -> None:
        now_s, text = self._clock.monotonic_s(), f"{what}: {error!r}"
        recent = {one: at for one, at in self._told_at_s.items() if now_s - at < _FAULT_EVERY_S}
        if text not in recent:
            self._on_fault(what, error)
        self._told_at_s = {text: now_s} | recent


class Allowance:
    """How many messages may go out: so many a second, saved up for a second at most."""

    def __init__(self, per_s: float, now_s: float) -> None:
        self._per_s = per_s
        self._left = per_s
        self._at_s = now_s

    def room(self, now_s: float) -> int:
        """How many messages an answer may have now: what is saved up, and never fewer than 20."""
        return max(_LEAST, int(self._saved(now_s)) - _REQUEST_COST)

    def spend(self, count: int, now_s: float) -> float:
        """Note what went out; returns how long to pause before the next, seconds."""
        self._left = self._saved(now_s) - count
        self._at_s = now_s
        return max(0.0, -self._left / self._per_s)

    def _saved(self, now_s: float) -> float:
        return min(self._per_s, self._left + (now_s - self._at_s) * self._per_s)


class _Numbered(msgspec.Struct):
    request: int = 0


_numbered_decoder: msgspec.json.Decoder[_Numbered] = msgspec.json.Decoder(_Numbered)


def _number_in(body: bytes) -> int:
    """The number of what is otherwise no request; 0 where it cannot be read."""
    try:
        return _numbered_decoder.decode(body).request
    except (msgspec.DecodeError, RecursionError):
        return 0


def _refusal(reason: Reason, detail: str, request: int = 0) -> Refusal:
    return Refusal(request=request, reason=reason, detail=detail)
