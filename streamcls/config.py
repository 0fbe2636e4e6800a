"""Typed settings, read from one TOML file. Every error names the key and what it may be.

`configs/streamcls.toml` lists every setting with its default.
"""

import re
import tomllib
from enum import Enum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from streamcls.errors import ConfigError
from streamcls.urls import file_path, host_of, redact, scheme_of

Positive = Annotated[float, Meta(gt=0, le=86_400)]
Stride = Annotated[float, Meta(ge=0.01, le=86_400)]
NonNegative = Annotated[float, Meta(ge=0, le=86_400)]
Share = Annotated[float, Meta(ge=0, le=1)]
STREAM_ID = re.compile(r"[a-z0-9_-]{1,64}")

NETWORK_SCHEMES = ("rtsp", "rtsps")
SCHEMES = ("file", "webcam", *NETWORK_SCHEMES)


class Pace(Enum):
    """How fast a file is played; live sources come as they come."""

    REALTIME = "realtime"
    FASTEST = "fastest"


class Section(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Base of every table in the file: a misspelt key is an error, never ignored."""


class ModelSettings(Section, frozen=True):
    """What classifies the windows."""

    path: str = "camera-motion"
    """A bundled model's name, or the path of a model file."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    max_batch: Annotated[int, Meta(ge=1, le=256)] = 8
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    """CPU threads for the network; 0 leaves torch's own choice."""


class WindowSettings(Section, frozen=True):
    """When windows close, and which are good enough to classify."""

    stride_s: Stride = 1.0
    min_coverage: Share = 0.8


class DecisionSettings(Section, frozen=True):
    """How scores become events. None: the model file's own default."""

    smoothing_s: NonNegative | None = None
    on_threshold: Share | None = None
    off_threshold: Share | None = None
    min_duration_s: NonNegative | None = None
    cooldown_s: NonNegative | None = None
    background_label: str | None = None


class CaptureSettings(Section, frozen=True):
    """Limits on waiting for sources, and the pause between attempts."""

    open_timeout_s: Positive = 5.0
    read_timeout_s: Positive = 5.0
    backoff_min_s: Positive = 0.5
    backoff_max_s: Positive = 30.0
    refused_retry_s: Positive = 60.0
    """Pause after a source said no (401, 403, 404): asking often will not change its mind."""

    def __post_init__(self) -> None:
        if self.backoff_max_s < self.backoff_min_s:
            raise ValueError("`backoff_max_s` must not be below `backoff_min_s`")


class PublishSettings(Section, frozen=True):
    """Where events go out."""

    endpoint: str = "tcp://127.0.0.1:5599"
    heartbeat_s: Positive = 5.0
    top_k: Annotated[int, Meta(ge=1)] = 5
    queue_size: Annotated[int, Meta(ge=100, le=10_000_000)] = 100_000
    """Messages held for a slow subscriber before it loses some."""
    wait_for_subscriber_s: NonNegative = 0.0
    """Hold the streams until somebody subscribes, at most so long: for short recordings."""

    def __post_init__(self) -> None:
        match = re.fullmatch(r"tcp://\S+:(\d{1,5}|\*)|ipc://\S+", self.endpoint)
        if not match or ((match[1] or "*").isdigit() and int(match[1]) > 65_535):
            raise ValueError(
                f"`endpoint` is {self.endpoint!r}; it must look like tcp://127.0.0.1:5599"
                " or ipc:///run/streamcls/events"
            )


class HttpSettings(Section, frozen=True):
    """Where /metrics, /healthz and /readyz answer."""

    enabled: bool = True
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 9599
    """0 takes a free port, which the log names."""


class LogSettings(Section, frozen=True):
    """What is logged, on standard error."""

    level: Annotated[str, Meta(pattern=r"\A(debug|info|warning|error)\Z")] = "info"


class StreamSettings(Section, frozen=True):
    """One video source."""

    id: str
    url: str
    """`/path/clip.mp4`, `rtsp://user:password@host/path`, `webcam:0` or `webcam:/dev/video0`."""
    pace: Pace = Pace.REALTIME
    loop: bool = False
    stride_s: Stride | None = None
    """This stream's own stride; unset: that of [windows]."""

    def __post_init__(self) -> None:
        if not STREAM_ID.fullmatch(self.id):
            raise ValueError(f"`id` is {self.id!r}; use 1 to 64 of a-z, 0-9, `_` and `-`")
        if scheme_of(self.url) not in SCHEMES:
            raise ValueError(
                f"stream {self.id!r}: `url` has the unknown scheme"
                f" {scheme_of(self.url)!r}; use a file path, rtsp://, rtsps:// or webcam:0"
            )

    def __repr__(self) -> str:
        return f"StreamSettings(id={self.id!r}, url={redact(self.url)!r})"

    @property
    def is_live(self) -> bool:
        """Whether frames come when they come, so the newest window matters most."""
        return scheme_of(self.url) != "file" or self.pace is Pace.REALTIME

    @property
    def is_file(self) -> bool:
        """Whether the source is a file on this machine."""
        return scheme_of(self.url) == "file"


class Settings(Section, frozen=True):
    """The whole configuration file."""

    streams: list[StreamSettings]
    model: ModelSettings = ModelSettings()
    windows: WindowSettings = WindowSettings()
    decisions: DecisionSettings = DecisionSettings()
    capture: CaptureSettings = CaptureSettings()
    publish: PublishSettings = PublishSettings()
    http: HttpSettings = HttpSettings()
    log: LogSettings = LogSettings()

    def __post_init__(self) -> None:
        if not self.streams:
            raise ValueError("no [[streams]] table; name at least one source")
        seen: set[str] = set()
        for stream in self.streams:
            if stream.id in seen:
                raise ValueError(f"stream id {stream.id!r} is used twice; ids must differ")
            seen.add(stream.id)


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
        settings = msgspec.convert(tomllib.loads(text), Settings)
    except msgspec.ValidationError as error:
        raise ConfigError(_readable(str(error))) from None
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is a ValueError
        raise ConfigError(f"not valid TOML: {error}") from None
    streams = [_resolve_stream(stream, folder) for stream in settings.streams]
    model = settings.model
    if "/" in model.path or model.path.endswith(".safetensors"):
        model = msgspec.structs.replace(model, path=str(folder / file_path(model.path)))
    return msgspec.structs.replace(settings, streams=streams, model=model)


def check_files(settings: Settings) -> None:
    """Refuse streams whose file is not there, before anything starts.

    Raises:
        ConfigError: a stream's file is missing or is a directory.
    """
    for stream in settings.streams:
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


def _resolve_stream(stream: StreamSettings, folder: Path) -> StreamSettings:
    if not stream.is_file:
        if scheme_of(stream.url) in NETWORK_SCHEMES and not host_of(stream.url).partition(":")[0]:
            raise ConfigError(f"stream {stream.id!r}: `url` names no host")
        return stream
    return msgspec.structs.replace(stream, url=str(folder / file_path(stream.url)))


def _readable(error: str) -> str:
    """msgspec's `... - at `$.windows.stride_s`` with the key first and what it may be."""
    message, _, place = redact(error).partition(" - at `$")
    key = place.rstrip("`").lstrip(".")
    unknown = re.fullmatch("Object contains unknown field `(.*)`", message)
    if unknown:
        known = ", ".join(_fields_at(key))
        where = f" in [{key}]" if key else ""
        return f"unknown key `{unknown[1]}`{where}; known keys: {known}"
    if message.startswith("Invalid enum value"):
        message += "; use one of " + ", ".join(repr(pace.value) for pace in Pace)
    return f"`{key}`: {message}" if key and "`" not in message[:2] else message


def _fields_at(key: str) -> tuple[str, ...]:
    """The keys of the table that a dotted place such as `streams[0]` names."""
    head = key.partition("[")[0]
    tables: dict[str, type[Section]] = {
        field.name: field.type
        for field in msgspec.structs.fields(Settings)
        if isinstance(field.type, type)
    }
    table = StreamSettings if head == "streams" else tables.get(head, Settings)
    return table.__struct_fields__
