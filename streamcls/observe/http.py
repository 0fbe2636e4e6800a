"""/metrics, /healthz, /readyz and the page over HTTP, loopback by default."""

import io
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Protocol
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from streamcls.errors import BindError
from streamcls.observe.logs import log_fault
from streamcls.observe.reply import Reply

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_CLIENT_TIMEOUT_S = (
    10  # a client that asks for, or takes, nothing must not hold its thread for ever
)

Check = Callable[[], str]
"""Says what is wrong, in a line; an empty text means all is well."""


class Pages(Protocol):
    """What answers for further addresses."""

    def answer(self, environ: "WSGIEnvironment") -> Reply | None:
        """The answer to a request; None where its address is of another."""

    def close(self) -> None:
        """End answers that are still under way."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking the DNS for this host's name, which may hang where there is none."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away or fall silent are no news."""


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_TIMEOUT_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name upstream)
        """Scrapes are no news."""

    def get_stderr(self) -> io.StringIO:
        """Where a connection's end would be told of: nowhere. Faults of ours are logged."""
        return io.StringIO()


class HttpServer:
    """Serves in its own thread from `start` to `stop`.

    Attributes:
        url: the address in force; with port 0, the port that was free.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        metrics: Callable[[], bytes],
        healthy: Check,
        ready: Check,
        pending: Callable[[], str] = str,
        pages: Pages | None = None,
    ) -> None:
        """Bind the address.

        Args:
            pending: says what a reload of the configuration would do, without any of its values.

        Raises:
            BindError: the address is in use or not ours.
        """
        self._metrics = metrics
        self._pending = pending
        self._pages = pages
        self._checks = {"/healthz": healthy, "/readyz": ready}
        try:
            self._server = make_server(host, port, self._answer, _Server, _Handler)
        except (OSError, ValueError, TypeError) as error:  # the latter two: not a host's name
            reason = getattr(error, "strerror", None) or "that is no host's name"
            raise BindError(
                f"cannot serve metrics on {host}:{port}: {reason};"
                " set another `host` or `port` in [http], or `enabled = false`"
            ) from None
        self.url = f"http://{host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="http", daemon=True)

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the address."""
        if self._pages:
            self._pages.close()
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def _answer(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        try:
            reply = self._reply(environ)
        except Exception as error:  # of whoever is asked; the server's own report redacts nothing
            log_fault("http", error)
            text = "a fault inside streamcls; its log has more\n"
            reply = Reply.text(text, HTTPStatus.INTERNAL_SERVER_ERROR)
        headers = [("Content-Type", reply.kind), *reply.headers.items()]
        body = reply.body
        if isinstance(body, bytes):
            headers.append(("Content-Length", str(len(body))))
            body = [body]
        start_response(f"{reply.status.value} {reply.status.phrase}", headers)
        return body

    def _reply(self, environ: "WSGIEnvironment") -> Reply:
        path = environ.get("PATH_INFO", "/")
        if path == "/metrics":
            return Reply(_METRICS_TYPE, self._metrics())
        if path == "/pending":
            return Reply.text(f"{self._pending()}\n")
        if path in self._checks:
            if trouble := self._checks[path]():
                return Reply.text(f"{trouble}\n", HTTPStatus.SERVICE_UNAVAILABLE)
            return Reply.text("ok\n")
        if self._pages and (reply := self._pages.answer(environ)):
            return reply
        return Reply.text("try /metrics, /healthz, /readyz or /pending\n", HTTPStatus.NOT_FOUND)
