"""A real HTTP server of files, with ranges as RFC 9110 has them, that can be told to fail."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

Fault = Callable[["Handler"], None]


@dataclass
class Asked:
    """One request."""

    path: str
    range: str | None
    if_range: str | None


class Mirror(ThreadingHTTPServer):
    """Serves `files`; each request uses up one of `faults` first."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        self.over = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def ranges(self) -> list[str | None]:
        return [asked.range for asked in self.asked]

    def handle_error(self, *_request: object) -> None:
        """A client that goes away is none of a test's business."""


class Handler(BaseHTTPRequestHandler):
    server: Mirror

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.server.asked.append(
            Asked(self.path, self.headers.get("Range"), self.headers.get("If-Range"))
        )
        if self.server.faults:
            self.server.faults.pop(0)(self)
        elif name in self.server.files:
            self.serve(self.server.files[name])
        else:
            self.send_error(404)

    @property
    def body(self) -> bytes:
        """The whole file that was asked for."""
        return self.server.files[self.path.rpartition("/")[2]]

    def serve(self, body: bytes, *, tag: bool = True) -> None:
        """The file, or the part of it that was asked for."""
        etag = f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'
        wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and self.headers.get("If-Range") == etag else 0
        if start and start >= len(body):
            self.head(416, {"Content-Range": f"bytes */{len(body)}"})
            return
        headers = {"Content-Length": str(len(body) - start)} | ({"ETag": etag} if tag else {})
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
        self.head(206 if start else 200, headers)
        self.wfile.write(body[start:])

    def head(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_line: object) -> None:
        """Nothing, to nobody."""


def cut(after: int, *, tag: bool = True) -> Fault:
    """So many bytes of the file, then the connection ends."""

    def fault(handler: Handler) -> None:
        etag = f'"{hashlib.md5(handler.body, usedforsecurity=False).hexdigest()}"'
        headers = {"Content-Length": str(len(handler.body))} | ({"ETag": etag} if tag else {})
        handler.head(200, headers)
        handler.wfile.write(handler.body[:after])

    return fault


def answer(status: int, **headers: str) -> Fault:
    """A bare answer of that status; `_` in a header's name stands for `-`."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda handler: handler.head(status, named | {"Content-Length": "0"})


def silence(handler: Handler) -> None:
    """Nothing at all until the test is over."""
    handler.server.over.wait()


def hang_up(handler: Handler) -> None:
    """No answer: the connection ends."""


@contextmanager
def serving() -> Iterator[Mirror]:
    mirror = Mirror()
    thread = Thread(target=mirror.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield mirror
    finally:
        mirror.over.set()
        mirror.shutdown()
        thread.join()
        mirror.server_close()
