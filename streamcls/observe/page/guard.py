"""Who may see the page.

On loopback without a token: whoever asks for it by a name of this machine. A page elsewhere whose
host name is made to point here (DNS rebinding) asks by its own name. With a token: whoever has it,
by `?token=` once, which leaves a cookie, or by `Authorization: Bearer`.
"""

import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from streamcls.endpoints import is_loopback
from streamcls.observe.reply import Reply

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_YEAR_S = 365 * 86_400


class Guard:
    """Lets requests for the page through, or says why not.

    Args:
        host: where the daemon listens.
        token: what must be known; empty for nothing, on loopback alone.
    """

    def __init__(self, host: str, token: str = "") -> None:
        self._host = host.lower()
        self._token = token.encode()
        # What a browser keeps is not the token: the file of cookies may be read by others.
        self._pass = hmac.digest(self._token, b"streamcls page", "sha256").hex()

    def refusal(self, environ: "WSGIEnvironment") -> Reply | None:
        """What to answer in place of what was asked for; None lets it through."""
        # Browsers say so of what other sites' pages load: such a one may link here, no more.
        if (
            environ.get("HTTP_SEC_FETCH_SITE") in ("cross-site", "same-site")
            and environ.get("HTTP_SEC_FETCH_MODE") != "navigate"
        ):
            return Reply.text("not for other sites' pages\n", HTTPStatus.FORBIDDEN)
        if not self._token:
            name = _name(environ.get("HTTP_HOST", ""))
            if is_loopback(name) or name == self._host:
                return None
            text = "not by this name; use http://127.0.0.1, or set a `token` in [http]\n"
            return Reply.text(text, HTTPStatus.MISDIRECTED_REQUEST)
        if self._asked_with(environ) or self._kept(environ):
            return None
        text = "the page needs the `token` of [http] once: open /?token=...\n"
        return Reply.text(text, HTTPStatus.UNAUTHORIZED, {"WWW-Authenticate": "Bearer"})

    def cookie(self, environ: "WSGIEnvironment") -> dict[str, str]:
        """The header that lets a browser come again without the token, where it brought that."""
        if not self._token or not self._asked_with(environ):
            return {}
        attributes = f"Path=/; Max-Age={_YEAR_S}; HttpOnly; SameSite=Strict"
        return {"Set-Cookie": f"{_cookie_name(environ)}={self._pass}; {attributes}"}

    def _asked_with(self, environ: "WSGIEnvironment") -> bool:
        """Whether the request itself has the token."""
        kind, _, bearer = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        given = [asked_for(environ, "token") or "", bearer if kind.lower() == "bearer" else ""]
        # Headers come as Latin-1, whatever their bytes are.
        return any(_same(one.strip().encode("latin-1", "replace"), self._token) for one in given)

    def _kept(self, environ: "WSGIEnvironment") -> bool:
        cookies = environ.get("HTTP_COOKIE", "").split(";")
        kept = dict(one.strip().partition("=")[::2] for one in cookies).get(_cookie_name(environ))
        return _same((kept or "").encode("latin-1", "replace"), self._pass.encode())


def asked_for(environ: "WSGIEnvironment", key: str) -> str | None:
    """A value in a request's query, if it is there."""
    try:
        query = parse_qs(environ.get("QUERY_STRING", ""), max_num_fields=20)
    except ValueError:
        return None
    return query[key][0] if key in query else None


_same = hmac.compare_digest  # in a time that does not tell how much is right


def _cookie_name(environ: "WSGIEnvironment") -> str:
    """Cookies do not tell ports apart, and daemons of one machine have tokens of their own."""
    return f"streamcls-{environ.get('SERVER_PORT', '')}"


def _name(host: str) -> str:
    """The name in a Host header: `localhost:9599`, `[::1]:9599`."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower()
