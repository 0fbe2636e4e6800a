"""/metrics, /healthz and /readyz over HTTP, loopback by default."""

import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from streamcls.errors import BindError
from streamcls.observe.logs import log_fault

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_TEXT_TYPE = "text/plain; charset=utf-8"
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_CLIENT_TIMEOUT_S = 10  # a client that asks for nothing must not hold its thread for ever

Check = Callable[[], str]
"""Says what is wrong, in a line; an empty text means all is well."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking the DNS for this host's name, which may hang where there is none."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()


class _Handler(WSGIRequestHandler):
    timeout = _CLIENT_TIMEOUT_S

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name upstream)
        """Scrapes are no news."""


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
    ) -> None:
        """Bind the address.

        Args:
            pending: says what a reload of the configuration would do, without any of its values.

        Raises:
            BindError: the address is in use or not ours.
        """
        self._metrics = metrics
        self._pending = pending
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
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()

    def _answer(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        try:
            status, kind, body = self._answer_to(environ.get("PATH_INFO", "/"))
        except Exception as error:  # of whoever is asked; the server's own report redacts nothing
            log_fault("http", error)
            status, kind = HTTPStatus.INTERNAL_SERVER_ERROR, _TEXT_TYPE
            body = b"a fault inside streamcls; its log has more\n"
        headers = [("Content-Type", kind), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer_to(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        status, kind, body = HTTPStatus.OK, _TEXT_TYPE, b"ok\n"
        if path == "/metrics":
            kind, body = _METRICS_TYPE, self._metrics()
        elif path == "/pending":
            body = f"{self._pending()}\n".encode()
        elif path in self._checks:
            trouble = self._checks[path]()
            if trouble:
                status, body = HTTPStatus.SERVICE_UNAVAILABLE, f"{trouble}\n".encode()
        else:
            status, body = HTTPStatus.NOT_FOUND, b"try /metrics, /healthz, /readyz or /pending\n"
        return status, kind, body
