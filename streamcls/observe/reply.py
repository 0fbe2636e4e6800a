"""What an HTTP request is answered with."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

_TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: whole, with its length known, or in pieces that come as they come."""

    kind: str
    body: bytes | Iterable[bytes]
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def text(
        cls,
        text: str,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
    ) -> "Reply":
        """Plain text."""
        return cls(_TEXT_TYPE, text.encode(), status, headers or {})
