"""Reading the file: TOML to `Settings`, with errors that name the key and what it may be."""

import os
import re
import tomllib
from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec

from streamcls.config.decisions import label_table
from streamcls.config.kinds import Section
from streamcls.config.secrets import fill_in, fill_in_whole
from streamcls.config.sections import (
    JournalSettings,
    LabelDecisionSettings,
    Settings,
    StreamSettings,
)
from streamcls.errors import ConfigError
from streamcls.urls import file_path, redact, trouble_with

Table = TypeVar("Table", bound=Section)


def load_settings(path: Path) -> Settings:
    """Read and validate a configuration file.

    Relative file and model paths are taken from the configuration's own folder, so that the
    daemon may be started from anywhere.

    Raises:
        ConfigError: the file is missing, is not TOML, or a key is unknown or out of range.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except IsADirectoryError:
        raise ConfigError(f"{path} is a directory; name a .toml file") from None
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist; see configs/streamcls.toml") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None
    try:
        return parse_settings(text, folder=path.parent)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def parse_settings(text: str, *, folder: Path = Path()) -> Settings:
    """Validate TOML text; relative paths are resolved against `folder`.

    Raises:
        ConfigError: as `load_settings`.
    """
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise ConfigError(f"not valid TOML: {error}") from None
    _fill_in_secrets(document)
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(_readable(str(error), document)) from None
    streams = [_resolve_stream(stream, folder) for stream in settings.streams]
    model = settings.model
    if "/" in model.path or model.path.endswith(".safetensors"):
        model = msgspec.structs.replace(model, path=str(folder / file_path(model.path)))
    return msgspec.structs.replace(
        settings,
        streams=streams,
        model=model,
        journal=_resolve(settings.journal, folder, "path"),
        keys=_resolve(settings.keys, folder, "secret", "authorized"),
    )


def check_files(streams: Iterable[StreamSettings]) -> None:
    """Refuse streams whose file is not there, before anything starts.

    Raises:
        ConfigError: a stream's file is missing or is a directory.
    """
    for stream in streams:
        if not stream.is_file:
            continue
        path = file_path(stream.url)
        try:
            is_folder, exists = path.is_dir(), path.exists()
        except (OSError, ValueError):  # no path at all: too long, or with a NUL in it
            is_folder, exists = False, False
        if is_folder:
            raise ConfigError(f"stream {stream.id!r}: {path} is a directory; name a video file")
        if not exists:
            raise ConfigError(f"stream {stream.id!r}: {path} does not exist; check `url`")


def journal_path(settings: JournalSettings) -> Path:
    """Where the journal is: as set, else `events.sqlite` in the state directory.

    That is systemd's, where a unit has `StateDirectory=`, else the user's own (XDG).
    """
    if settings.path:
        return Path(settings.path)
    # systemd joins several directories by colons; the first is the one that a unit names first.
    of_unit = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    of_user = Path(os.environ.get("XDG_STATE_HOME", ""))
    if not of_user.is_absolute():  # which the XDG specification says to ignore
        of_user = Path.home() / ".local" / "state"
    return (Path(of_unit) if of_unit else of_user / "streamcls") / "events.sqlite"


def _resolve(section: Table, folder: Path, *keys: str) -> Table:
    """The section with its paths taken from the configuration's folder."""
    paths = {key: getattr(section, key) for key in keys}
    found = {key: str(folder / file_path(path)) for key, path in paths.items() if path}
    return msgspec.structs.replace(section, **found)


def _fill_in_secrets(document: dict[str, Any]) -> None:
    """Before anything is judged: a secret may hold the whole URL."""
    streams = document.get("streams")
    for stream in streams if isinstance(streams, list) else ():
        if isinstance(stream, dict) and isinstance(stream.get("url"), str):
            stream["url"] = fill_in(stream["url"], str(stream.get("id", "")))
    http = document.get("http")
    if isinstance(http, dict) and isinstance(http.get("token"), str):
        http["token"] = fill_in_whole(http["token"], "`http.token`")


def _resolve_stream(stream: StreamSettings, folder: Path) -> StreamSettings:
    if not stream.is_file:
        if trouble := trouble_with(stream.url):
            raise ConfigError(f"stream {stream.id!r}: `url` {trouble}")
        return stream
    return msgspec.structs.replace(stream, url=str(folder / file_path(stream.url)))


def _readable(error: str, document: dict[str, Any]) -> str:
    """msgspec's `... - at `$.windows.stride_s`` with the key first and what it may be."""
    # A key may be quoted that has line breaks in it.
    error = "".join(one if one.isprintable() else repr(one)[1:-1] for one in error)
    message, _, place = redact(error).partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    key = _with_label(place, document)
    unknown = re.fullmatch("Object contains unknown field `(.*)`", message)
    if unknown:
        known = ", ".join(_fields_at(place))
        where = f" in [{key}]" if key else ""
        return f"unknown key `{unknown[1]}`{where}; known keys: {known}"
    if message.startswith("Invalid enum value"):
        message += "; use one of " + ", ".join(map(repr, _choices_at(place)))
    return f"`{key}`: {message}" if key and "`" not in message[:2] else message


def _with_label(place: str, document: dict[str, Any]) -> str:
    """The place with the label that msgspec leaves out of `streams[0].decisions.labels[...]`."""
    above, found, below = place.partition(".labels[...]")
    if not found:
        return place
    table: Any = document
    for name, index in re.findall(r"(\w+)(?:\[(\d+)\])?", above):
        table = table[name][int(index)] if index else table[name]
    # Tables are checked in the file's order, so the first wrong one is the one meant.
    label = next(label for label, values in table["labels"].items() if not _is_sound(values))
    return label_table(above, label) + below


def _is_sound(label_values: object) -> bool:
    try:
        msgspec.convert(label_values, LabelDecisionSettings)
    except msgspec.ValidationError:
        return False
    return True


def _fields_at(place: str) -> tuple[str, ...]:
    """The keys of the table that a dotted place such as `streams[0].decisions` names."""
    return tuple(_type_at(place).__struct_fields__)


def _choices_at(place: str) -> tuple[str, ...]:
    """The values that a key of few values may have."""
    table, _, key = place.rpartition(".")
    fields = msgspec.structs.fields(_type_at(table))
    kind = next(field.type for field in fields if field.name == key)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return tuple(choice.value for choice in kind)
    return get_args(kind)


def _type_at(place: str) -> Any:
    """The class of the table that a dotted place names."""
    table: Any = Settings
    for name in re.sub(r"\[.*?\]", "", place).split(".") if place else ():
        field = next(field for field in msgspec.structs.fields(table) if field.name == name)
        table = get_args(field.type)[-1] if get_args(field.type) else field.type
    return table
