"""An RTSP camera of ours, which fails on command: one server, a path for each way to fail.

    with camera({"good": Camera(), "dies": Camera(media=...)}) as server:
        server.url("good")

Speaks RTSP over TCP with RTP interleaved, as FFmpeg asks for it here. A test tool: it answers
whoever asks as FFmpeg does, and nobody else.
"""

import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from tests.faults.media import Media, Unit, film
from tests.faults.rtp import Packetizer, interleaved

_REPORT_S = 1.0

Answer = bytes | None
"""What is sent in return; None: nothing, for ever."""


@dataclass(frozen=True)
class Request:
    """One RTSP request."""

    method: str
    url: str
    headers: Mapping[str, str]


class Session:
    """One connection of one client."""

    def __init__(self, server: "CameraServer", connection: socket.socket) -> None:
        self.over = server.over
        self.connection = connection
        self.rtp = Packetizer()
        self.ticks = 0
        self._sending = threading.Lock()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        with self._sending:
            self.connection.sendall(data)

    def trickle(self, data: bytes, every_s: float) -> None:
        """Send one byte at a time."""
        for i in range(len(data)):
            self.send(data[i : i + 1])
            if self.over.wait(every_s):
                return

    def wait(self, seconds: float | None = None) -> None:
        """Do nothing, for so long or until the server ends."""
        self.over.wait(seconds)

    def report(self, clock_offset_s: float = 0.0) -> None:
        """Tell the camera's wall clock."""
        report = self.rtp.sender_report(time.time() + clock_offset_s, self.ticks)
        self.send(interleaved(1, report))

    def show(self, unit: Unit) -> None:
        """Send one picture."""
        self.ticks = unit.ticks
        packets = self.rtp.packets(unit.units, unit.ticks)
        self.send(b"".join(interleaved(0, packet) for packet in packets))


@dataclass(frozen=True)
class Camera:
    """A camera that works; what is set to something else fails.

    Attributes:
        media: gives what is shown to each client anew.
        answers: by method, what is answered in place of the usual.
        greet: done with each new connection, before anything is read.
        clock_offset_s: the camera's wall clock minus the true one, given the seconds played;
            None: no sender reports at all.
        sdp: lines to add to, or to put in place of, the usual description.
    """

    media: Callable[[], Media] = film
    answers: Mapping[str, Callable[[Session, Request], Answer]] = field(default_factory=dict)
    greet: Callable[[Session], None] | None = None
    clock_offset_s: Callable[[float], float | None] = lambda played_s: 0.0
    sdp: Callable[[list[str]], list[str]] = lambda lines: lines
    hevc: bool = False
    sequence: int = 0

    def description(self) -> str:
        """The SDP."""
        lines = [
            "v=0",
            "o=- 0 0 IN IP4 127.0.0.1",
            "s=camera",
            "t=0 0",
            "a=control:*",
            "m=video 0 RTP/AVP 96",
            f"a=rtpmap:96 {'H265' if self.hevc else 'H264'}/90000",
            "a=framerate:10",
            "a=control:track1",
        ]
        return "".join(f"{line}\r\n" for line in self.sdp(lines))


class CameraServer:
    """Serves cameras by path.

    Attributes:
        connections: how often each path was asked to play, or to describe itself.
        most_opening: the most connections that were between their start and PLAY at once.
    """

    def __init__(self, cameras: Mapping[str, Camera]) -> None:
        self.over = threading.Event()
        self.connections: Counter[str] = Counter()
        self.most_opening = 0
        self._opening = 0
        self._playing: dict[str, list[Session]] = {}
        self._lock = threading.Lock()
        self._cameras = dict(cameras)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.port = self._listener.getsockname()[1]
        # For cameras that fail before they are told which they are: a port for each.
        self._greeters = {
            path: socket.create_server(("127.0.0.1", 0), backlog=20)
            for path, one in self._cameras.items()
            if one.greet
        }
        for listener, greeter in [
            (self._listener, None),
            *((listener, path) for path, listener in self._greeters.items()),
        ]:
            threading.Thread(target=self._accept, args=(listener, greeter), daemon=True).start()

    def url(self, path: str, login: str = "") -> str:
        """Where a camera is."""
        greeter = self._greeters.get(path)
        port = greeter.getsockname()[1] if greeter else self.port
        return f"rtsp://{login and login + '@'}127.0.0.1:{port}/{path}"

    def disconnect(self, path: str) -> None:
        """Cut off whoever is shown a camera."""
        for session in self._playing.get(path, []):
            with suppress(OSError):
                session.connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End every connection."""
        self.over.set()
        for listener in (self._listener, *self._greeters.values()):
            listener.close()

    def _accept(self, listener: socket.socket, greeter: str | None) -> None:
        while not self.over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            args = (connection, greeter)
            threading.Thread(target=self._serve, args=args, daemon=True).start()

    def _serve(self, connection: socket.socket, greeter: str | None) -> None:
        with connection, suppress(OSError):
            session = Session(self, connection)
            if greeter:
                self.connections[greeter] += 1
                greet = self._cameras[greeter].greet
                assert greet
                greet(session)
                return
            with self._counted():
                camera = self._shake_hands(session)
            if camera:
                self._play(session, camera)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        with self._lock:
            self._opening += 1
            self.most_opening = max(self.most_opening, self._opening)
        try:
            yield
        finally:
            with self._lock:
                self._opening -= 1

    def _shake_hands(self, session: Session) -> Camera | None:
        """Answer until PLAY; the camera that is to play, or None."""
        while request := _request(session.connection):
            path = request.url.partition("://")[2].partition("/")[2].partition("/")[0]
            camera = self._cameras.get(path, Camera())
            if request.method == "DESCRIBE":
                self.connections[path] += 1
            special = camera.answers.get(request.method)
            answer = special(session, request) if special else _usual(camera, request)
            if answer is None:
                session.wait()
                return None
            if answer:
                session.send(answer)
            if request.method == "PLAY":
                session.rtp = Packetizer(hevc=camera.hevc, sequence=camera.sequence)
                self._playing.setdefault(path, []).append(session)
                return camera
        return None

    def _play(self, session: Session, camera: Camera) -> None:
        threading.Thread(target=_answer_on, args=(session,), daemon=True).start()
        began_s = reported_s = due_s = time.monotonic()
        for item in camera.media():
            if self.over.is_set():
                return
            if not isinstance(item, Unit):
                item(session)
                due_s = time.monotonic()
                continue
            session.rtp._hevc = item.hevc
            session.show(item)
            now_s = time.monotonic()
            offset_s = camera.clock_offset_s(now_s - began_s)
            if offset_s is not None and (now_s >= reported_s or reported_s == began_s):
                session.report(offset_s)
                reported_s = now_s + _REPORT_S
            due_s += item.lasts_s
            self.over.wait(max(0.0, due_s - now_s))


def reply(request: Request, status: str = "200 OK", body: str = "", **headers: str) -> bytes:
    """An RTSP answer."""
    lines = [f"RTSP/1.0 {status}", f"CSeq: {request.headers.get('cseq', '0')}"]
    lines += [f"{name.replace('_', '-')}: {text}" for name, text in headers.items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def describe(camera: Camera, request: Request) -> bytes:
    """The usual answer to DESCRIBE."""
    return reply(request, body=camera.description(), Content_Type="application/sdp")


def _usual(camera: Camera, request: Request) -> bytes:
    if request.method == "OPTIONS":
        return reply(request, Public="OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER")
    if request.method == "DESCRIBE":
        return describe(camera, request)
    if request.method == "SETUP":
        return reply(
            request, Transport="RTP/AVP/TCP;unicast;interleaved=0-1", Session="1;timeout=60"
        )
    return reply(request, Session="1")


def _answer_on(session: Session) -> None:
    """Keep-alives and the goodbye, while pictures go out."""
    with suppress(OSError):
        while request := _request(session.connection):
            session.send(reply(request, Session="1"))
            if request.method == "TEARDOWN":
                session.connection.shutdown(socket.SHUT_RDWR)


def _request(connection: socket.socket) -> Request | None:
    """The next request; interleaved packets of the client's are passed over."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            part = connection.recv(4096)
        except OSError:
            return None
        if not part:
            return None
        data += part
        while data[:1] == b"$" and len(data) >= 4 and len(data) >= 4 + _length(data):
            data = data[4 + _length(data) :]
    head, *lines = data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
    method, url, _ = head.split(" ", 2)
    headers = {name.lower(): text.strip() for name, _, text in (x.partition(":") for x in lines)}
    return Request(method, url, headers)


def _length(packet: bytes) -> int:
    return int(struct.unpack("!H", packet[2:4])[0])


def reset(session: Session) -> None:
    """End with a RST."""
    option = struct.pack("ii", 1, 0)
    session.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
    # The connection is not closed while a thread reads from it.
    session.connection.shutdown(socket.SHUT_RD)
    session.wait(0.1)
    session.connection.close()
    raise OSError("reset")


def hang_up(session: Session) -> None:
    """End with a FIN."""
    session.connection.shutdown(socket.SHUT_RDWR)
    raise OSError("hung up")


@contextmanager
def serve(cameras: Mapping[str, Camera]) -> Iterator[CameraServer]:
    """Serve cameras while the block runs."""
    server = CameraServer(cameras)
    try:
        yield server
    finally:
        server.close()
