"""Secrets that the file names and does not hold: `${NAME}` and `${credential:NAME}` in URLs."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from streamcls.errors import ConfigError

_PLACE = re.compile(r"\$\{(?:(credential):)?([^{}]*)\}")


def fill_in(url: str, stream: str) -> str:
    """A stream's URL with its secrets.

    `${NAME}` is an environment variable, `${credential:NAME}` one of systemd's credentials: a file
    in the directory that the unit's `LoadCredential=` fills. Alone, a secret is the whole URL;
    inside one it is percent-encoded, so that a password may hold any character.

    Raises:
        ConfigError: there is no such variable or credential; the text names it, never a value.
    """
    whole = _PLACE.fullmatch(url)
    if whole:
        found = _secret(whole, stream)
        if "://" not in found:  # a mere password would be taken, and told, for the path of a file
            raise ConfigError(f"stream {stream!r}: `url` is {whole[2]!r}, which holds no URL")
        return found
    return _PLACE.sub(lambda place: quote(_secret(place, stream), safe=""), url)


def _secret(place: re.Match[str], stream: str) -> str:
    of_systemd, name = place.groups()
    found = _credential(name) if of_systemd else os.environ.get(name)
    if found:
        return found
    if of_systemd:
        problem = f"the credential {name!r}, which systemd has not given; see LoadCredential="
    else:
        problem = f"the environment variable {name!r}, which is not set"
    raise ConfigError(f"stream {stream!r}: `url` needs {problem}")


def _credential(name: str) -> str | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder or not re.fullmatch(r"[\w.@-]+", name) or name in (".", ".."):
        return None
    try:
        return (Path(folder) / name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError):
        return None
