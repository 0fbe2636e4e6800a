"""Fetch one file over HTTP, whole or not at all: resumed where it was cut, checked at its end.

What has arrived lies in `NAME.part`, and beside it in `NAME.part.json` which version of which URL
it is of: the next try, of this run or a later one, asks for the rest of that same version (RFC
9110, `Range` and `If-Range`). A proxy is taken from the environment (`https_proxy`, `no_proxy`).
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from streamcls.errors import ConfigError, StreamclsError
from streamcls.models.partial import PartialFile, partial_file
from streamcls.urls import redact, trouble_with

_CHUNK_BYTES = 1 << 18
_TRIES = 5
_TRY_AGAIN = {408, 416, 425, 429}
"""Of the codes that blame the request, those that another try may mend."""

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are there, and how many there will be if the server said."""


@dataclass(frozen=True, slots=True)
class Downloaded:
    """A file that arrived.

    Attributes:
        url: where it came from in the end, credentials replaced.
        sha256: of its bytes, hexadecimal.
        checked: what says that it is whole: `sha256` (demanded), `length`, or nothing.
    """

    path: Path
    url: str
    size_bytes: int
    sha256: str
    checked: str


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    progress: Progress = lambda _have, _total: None,
    timeout_s: float = 30.0,
    pause: Callable[[float], None] = time.sleep,
) -> Downloaded:
    """Fetch a URL into a file; given up after five tries in a row that brought not one byte.

    Args:
        sha256: refuse a file that has another checksum, hexadecimal.
        timeout_s: longest silence of the server before a try is given up.
        pause: waits that many seconds before the next try: longer the longer nothing comes.

    Raises:
        ConfigError: the URL is not HTTP, `sha256` is no checksum or not the file's, or the server
            refuses it for good; nothing is left behind then.
        StreamclsError: no connection, cut too often, or the disk is full; what has arrived is kept
            for the next run.
    """
    if not re.fullmatch(r"https?://[!-?A-~]+", url):  # printable ASCII, and no @ of a password
        raise ConfigError(f"{redact(url)} cannot be fetched; give a plain http:// or https:// URL")
    if trouble := trouble_with(url):
        raise ConfigError(f"{url} cannot be fetched: it {trouble}")
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise ConfigError(f"{sha256!r} is no SHA-256; give its 64 hexadecimal digits")
    with partial_file(path, url) as part:
        transfer = _Transfer(url, part, progress, timeout_s)
        transfer.run(pause)
        arrived, size = part.sha256(), part.size
        if sha256 is not None and arrived != sha256.lower():
            part.restart()
            raise ConfigError(
                f"{redact(url)} has the SHA-256 {arrived} instead of {sha256.lower()}: another"
                " file, or an altered one; it was removed"
            )
        part.complete()
    checked = "sha256" if sha256 else "length" if transfer.total is not None else ""
    return Downloaded(path, redact(transfer.final_url), size, arrived, checked)


class _Cut(Exception):
    """A try ended before the file did; another may go on."""


class _Transfer:
    """Brings the rest of a file, in as many requests as it takes.

    Attributes:
        final_url: where redirections led.
        total: bytes of the whole file, if the server said.
    """

    def __init__(self, url: str, part: PartialFile, progress: Progress, timeout_s: float) -> None:
        self._url, self._part = url, part
        self._progress, self._timeout_s = progress, timeout_s
        self._opener = build_opener(_OnlyHttp)
        self.final_url = url
        self.total: int | None = None

    def run(self, pause: Callable[[float], None]) -> None:
        """Try until the file is whole, or nothing has come for too long."""
        fruitless = 0
        while True:
            before = self._part.size
            try:
                return self._try()
            except _Cut as cut:
                fruitless = 0 if self._part.size > before else fruitless + 1
                if fruitless == _TRIES:
                    raise StreamclsError(
                        f"{redact(self._url)} could not be fetched: {cut}; run it again later, it"
                        f" goes on from {self._part.size} bytes"
                    ) from None
            pause(2.0**fruitless)

    def _try(self) -> None:
        """One request for what is missing, written as it arrives."""
        headers = {"User-Agent": "streamcls", "Accept-Encoding": "identity"}
        if self._part.size and self._part.version:
            headers |= {"Range": f"bytes={self._part.size}-", "If-Range": self._part.version}
        try:
            with _network():
                request = Request(self._url, headers=headers)
                response = self._opener.open(request, timeout=self._timeout_s)
        except HTTPError as error:
            return self._refused(error)
        with closing(response):
            self._accept(response)
            self._progress(self._part.size, self.total)
            while data := _read(response):
                self._part.write(data)
                self._progress(self._part.size, self.total)
        if self.total is not None and self._part.size < self.total:
            raise _Cut(f"cut at {self._part.size} of {self.total} bytes")
        return None

    def _accept(self, response: HTTPResponse) -> None:
        """Take what the server offers: the rest of what is there, or the whole anew."""
        self.final_url = response.geturl()
        if response.status == 206:
            span = re.match(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
            if not span or int(span[1]) != self._part.size:
                self._part.restart()
                raise _Cut("the server sent another part than was asked for")
            self.total = int(span[2])
        else:
            self._part.restart(_version(response))
            length = response.headers.get("Content-Length", "")
            self.total = int(length) if length.isdecimal() else None
        self._part.need((self.total or 0) - self._part.size)

    def _refused(self, error: HTTPError) -> None:
        """Go on after an answer that is no file, unless it will stay so."""
        if error.code == 416:  # nothing lies beyond what is there: it is whole, or another file
            whole = re.match(r"bytes \*/(\d+)", error.headers.get("Content-Range", ""))
            if whole and int(whole[1]) == self._part.size:
                self.total = self._part.size
                return
            self._part.restart()
        elif error.code < 500 and error.code not in _TRY_AGAIN:
            self._part.restart()
            raise ConfigError(
                f"{redact(self._url)} is not to be had: {error.code} {error.reason}; check the"
                " address"
            ) from None
        raise _Cut(f"the server says {error.code} {error.reason}") from None


@contextmanager
def _network() -> Iterator[None]:
    """Whatever breaks between the server and here is a cut; what it answers is not."""
    try:
        yield
    except HTTPError:
        raise
    except TimeoutError:
        raise _Cut("the server fell silent") from None
    except URLError as error:
        raise _Cut(f"no connection: {error.reason}") from None
    except (HTTPException, OSError) as error:
        raise _Cut(f"the connection broke: {type(error).__name__}") from None


def _read(response: HTTPResponse) -> bytes:
    with _network():
        return response.read1(_CHUNK_BYTES)


def _version(response: HTTPResponse) -> str | None:
    """What `If-Range` may name: a strong entity tag, else the date of the last change."""
    tag = response.headers.get("ETag", "")
    return tag if tag.startswith('"') else response.headers.get("Last-Modified")


class _OnlyHttp(HTTPRedirectHandler):
    """Follows redirections, but never away from HTTP, nor from an encrypted address to an open."""

    def redirect_request(self, req: Request, *arguments: Any) -> Request | None:
        target = str(arguments[-1])
        allowed = ("https://",) if req.full_url.startswith("https:") else ("https://", "http://")
        if not target.startswith(allowed):
            raise ConfigError(f"{redact(req.full_url)} leads to {redact(target)}: not safe")
        return super().redirect_request(req, *arguments)
