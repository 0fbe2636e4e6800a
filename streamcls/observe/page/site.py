"""The page's own addresses: its files, and the stream of news that fills it."""

import threading
from collections.abc import Callable, Iterator
from http import HTTPStatus
from importlib.resources import files
from typing import TYPE_CHECKING

from streamcls.clock import Clock
from streamcls.observe.logs import log_fault
from streamcls.observe.page.feed import Feed
from streamcls.observe.page.guard import Guard, asked_for
from streamcls.observe.reply import Reply
from streamcls.threads import name_thread

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_VIEWERS = 16
_PACE_S = 0.4
_PIECE = 16_384  # bytes that one time limit of the connection is for: slow is not dead
_RETRY_MS = 1000
_NEWS = "/news"

_KINDS = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
}
# All there is comes from here; pictures are in the news. Nothing may be put around the page.
_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class Site:
    """Answers for the page's addresses, each request on its own thread.

    Args:
        feed: makes a new viewer's; given the stream whose own view it is for, or None.
        max_viewers: at once; each holds a thread and a connection.
    """

    def __init__(
        self,
        feed: Callable[[str | None], Feed],
        guard: Guard,
        clock: Clock,
        *,
        max_viewers: int = MAX_VIEWERS,
    ) -> None:
        self._feed = feed
        self._guard = guard
        self._clock = clock
        self._free = threading.BoundedSemaphore(max_viewers)
        self._closing = threading.Event()
        folder = files("streamcls.observe.page") / "files"
        self._files = {f"/{one.name}": one.read_bytes() for one in folder.iterdir()}
        self._files["/"] = self._files.pop("/index.html")

    def answer(self, environ: "WSGIEnvironment") -> Reply | None:
        """The answer to a request; None where its address is none of the page's."""
        path = environ.get("PATH_INFO") or "/"
        if path != _NEWS and path not in self._files:
            return None
        if refused := self._guard.refusal(environ):
            return refused
        if path == _NEWS:
            return self._news(environ)
        kind = _KINDS[path.rpartition(".")[2] if path != "/" else "html"]
        return Reply(kind, self._files[path], headers=_HEADERS | self._guard.cookie(environ))

    def close(self) -> None:
        """Let every viewer's thread end. Idempotent."""
        self._closing.set()

    def _news(self, environ: "WSGIEnvironment") -> Reply:
        if not self._free.acquire(blocking=False):
            text = "as many look as may; close a page elsewhere\n"
            return Reply.text(text, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "10"})
        feed = self._feed(asked_for(environ, "stream"))
        viewer = _Viewer(feed, self._closing, self._clock, self._free.release)
        return Reply("text/event-stream", viewer, headers=_HEADERS)


class _Viewer:
    """Server-sent events in pieces, at a calm pace, until the viewer goes or the site closes.

    A class, as a generator that was never begun ends without a word and would keep its place.
    """

    def __init__(
        self, feed: Feed, closing: threading.Event, clock: Clock, on_end: Callable[[], None]
    ) -> None:
        self._pieces = self._run(feed, closing, clock)
        self._on_end = on_end
        self._over = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """Give back the place; called by the server however the answer ends. Idempotent."""
        if not self._over:
            self._over = True
            self._on_end()

    @staticmethod
    def _run(feed: Feed, closing: threading.Event, clock: Clock) -> Iterator[bytes]:
        name_thread("page")
        yield f"retry: {_RETRY_MS}\n\n".encode()
        try:
            while not closing.is_set():
                if news := feed.next():
                    message = b"data: %b\n\n" % news
                    for start in range(0, len(message), _PIECE):
                        yield message[start : start + _PIECE]
                clock.wait(closing, _PACE_S)
        except Exception as error:  # the server's own report redacts nothing
            log_fault("page", error)
