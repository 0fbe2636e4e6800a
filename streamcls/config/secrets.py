"""Secrets that the file names and does not hold: `${NAME}` and `${credential:NAME}`."""

import os
import re
from pathlib import Path
from urllib.parse import quote

from streamcls.config.sections import NETWORK_SCHEMES
from streamcls.errors import ConfigError
from streamcls.urls import scheme_of

_PLACE = re.compile(r"\$\{(?:(credential):)?([^{}]*)\}")


def fill_in(url: str, stream: str) -> str:
    """A stream's URL with its secrets.

    `${NAME}` is an environment variable, `${credential:NAME}` one of systemd's credentials: a file
    in the directory that the unit's `LoadCredential=` fills. Alone, a secret is the whole URL;
    inside a camera's it is percent-encoded, so that a password may hold any character.

    Raises:
        ConfigError: there is no such variable or credential, or a `${` has no end; the text names
            what is meant, never a value.
    """
    owner = f"stream {stream!r}: `url`"
    whole = _PLACE.fullmatch(url)
    if whole:
        found = _secret(whole, owner)
        # Anything else, a mere password too, would be taken, and told, for the path of a file.
        if scheme_of(found) not in NETWORK_SCHEMES:
            raise ConfigError(
                f"{owner} is {whole[2]!r}, which holds no camera's URL; it must"
                " begin with rtsp:// or rtsps://"
            )
        return found
    if "${" in _PLACE.sub("", url):
        raise ConfigError(f"{owner} has a ${{ without its }}; a literal $ is %24")
    encoded = scheme_of(url) in NETWORK_SCHEMES  # nothing decodes a file's path
    if not encoded and any(place[1] for place in _PLACE.finditer(url)):
        raise ConfigError(
            f"{owner} is a file's, and would show its credential to all; only the"
            " URLs of cameras may hold one"
        )

    def found_at(place: re.Match[str]) -> str:
        found = _secret(place, owner)
        # Bytes that are not UTF-8 stay the bytes that they are.
        return quote(found, safe="", errors="surrogateescape") if encoded else found

    return _PLACE.sub(found_at, url)


def fill_in_whole(value: str, owner: str) -> str:
    """A setting that a secret alone may be the value of; any other value is as it is.

    Raises:
        ConfigError: as `fill_in`.
    """
    whole = _PLACE.fullmatch(value)
    return _secret(whole, owner) if whole else value


def _secret(place: re.Match[str], owner: str) -> str:
    of_systemd, name = place.groups()
    found = _credential(name) if of_systemd else os.environ.get(name)
    if found:
        return found
    if of_systemd:
        problem = f"the credential {name!r}, which systemd has not given, or empty;"
        problem += " see LoadCredential= in the unit"
    else:
        problem = f"the environment variable {name!r}, which is not set, or empty"
    raise ConfigError(f"{owner} needs {problem}")


def _credential(name: str) -> str | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder or not re.fullmatch(r"[\w.@-]+", name) or name in (".", ".."):
        return None
    try:
        text = (Path(folder) / name).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    return text.rstrip("\r\n")
