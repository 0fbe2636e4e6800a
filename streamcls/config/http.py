"""The settings of the HTTP address and of the page there."""

import re
from typing import Annotated

from msgspec import Meta

from streamcls.config.kinds import Section
from streamcls.endpoints import is_loopback


class HttpSettings(Section, frozen=True):
    """Where the page, /metrics, /healthz and /readyz answer."""

    enabled: bool = True
    host: Annotated[str, Meta(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9599
    """0 takes a free port, which the log names."""
    page: bool = True
    """Show what the streams show, live, to a browser."""
    thumbnails: bool = True
    """With pictures."""
    token: str | None = None
    """What a browser must know to see the page; beyond this machine there is none without."""

    def __post_init__(self) -> None:
        if self.token is not None and not re.fullmatch("[!-~]{16,}", self.token):
            raise ValueError("`token` must have 16 characters or more, of ASCII and without spaces")
        if self.enabled and self.page and not self.token and not is_loopback(self.host):
            raise ValueError(
                f"`http`: the page can be reached from other machines by {self.host} and there is"
                " no `token`; set one, listen on 127.0.0.1, or set `page = false`"
            )

    def __repr__(self) -> str:
        return f"HttpSettings({self.host}:{self.port})"
