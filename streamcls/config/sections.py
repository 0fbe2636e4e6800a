"""Typed settings, a class for each table of `configs/streamcls.toml`."""

import re
from enum import Enum
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from streamcls.config.http import HttpSettings
from streamcls.config.kinds import NonNegative, OnThreshold, Positive, Section, Share, Stride
from streamcls.endpoints import check_endpoint, is_private, replay_endpoint_of
from streamcls.urls import redact, scheme_of

STREAM_ID = re.compile(r"[a-z0-9_-]{1,64}")

NETWORK_SCHEMES = ("rtsp", "rtsps")
SCHEMES = ("file", "webcam", *NETWORK_SCHEMES)


class Pace(Enum):
    """How fast a file is played; live sources come as they come."""

    REALTIME = "realtime"
    FASTEST = "fastest"


class BackendName(Enum):
    """What runs the network."""

    AUTO = "auto"
    TORCH = "torch"
    OPENVINO_F32 = "openvino-f32"
    OPENVINO_BF16 = "openvino-bf16"
    INDUCTOR = "inductor"
    TORCH_REUSE = "torch-reuse"
    OPENVINO_F32_REUSE = "openvino-f32-reuse"
    OPENVINO_BF16_REUSE = "openvino-bf16-reuse"
    CUDA_FP32 = "cuda-fp32"
    CUDA_FP16 = "cuda-fp16"
    CUDA_BF16 = "cuda-bf16"


def _check_strides(stride_s: float | None, max_stride_s: float | None) -> None:
    if stride_s and max_stride_s and max_stride_s < stride_s:
        raise ValueError("`max_stride_s` must not be below `stride_s`")


class ModelSettings(Section, frozen=True):
    """What classifies the windows."""

    path: str = "camera-motion"
    """A bundled model's name, or the path of a model file."""
    device: str = "auto"
    """`auto`, `cpu`, `cuda` or `cuda:N`."""
    backend: BackendName = BackendName.AUTO
    """`auto`: the fastest of those that are here and score as torch does."""
    max_batch: Annotated[int, Meta(ge=1, le=256)] = 8
    max_wait_ms: Annotated[float, Meta(ge=0, le=1000)] = 2.0
    """On a GPU, how long a window may wait for others to share its batch; a CPU never waits."""
    threads: Annotated[int, Meta(ge=0, le=1024)] = 0
    """CPU threads for the network; 0: one for each core this process may use."""


class WindowSettings(Section, frozen=True):
    """When windows close, and which are good enough to classify."""

    stride_s: Stride = 1.0
    max_stride_s: Stride | None = None
    """Under overload the stride widens so far before windows count as lost; unset: not at all."""
    min_coverage: Share = 0.8

    def __post_init__(self) -> None:
        _check_strides(self.stride_s, self.max_stride_s)


class LabelDecisionSettings(Section, frozen=True):
    """How one label's scores become events. None: as the next more general table says."""

    smoothing_s: NonNegative | None = None
    on_threshold: OnThreshold | None = None
    off_threshold: Share | None = None
    min_duration_s: NonNegative | None = None
    cooldown_s: NonNegative | None = None
    update_s: NonNegative | None = None
    """How often an open event is reported again; 0: with every window."""


class DecisionSettings(LabelDecisionSettings, frozen=True):
    """How scores become events. None: the model file's own default."""

    background_label: str | None = None
    """Opens no event; empty: every label opens events, whatever the model file says."""
    labels: dict[str, LabelDecisionSettings] = msgspec.field(default_factory=dict)
    """What is otherwise for single labels."""


class CaptureSettings(Section, frozen=True):
    """Limits on waiting for sources, and the pause between attempts."""

    open_timeout_s: Positive = 5.0
    read_timeout_s: Positive = 5.0
    backoff_min_s: Positive = 0.5
    backoff_max_s: Positive = 30.0
    refused_retry_s: Positive = 60.0
    """Pause after a source said no (401, 403, 404): asking often will not change its mind."""
    max_opening: Annotated[int, Meta(ge=1, le=10_000)] = 8
    """Live sources that may be opening at once, so that all that come back do not stampede."""
    max_pixels: Annotated[int, Meta(ge=16, le=2**31 - 1)] = 8192 * 8192
    """A larger picture is refused before it takes memory: a file of 31 KB can claim gigabytes."""
    max_corrupt: Share = 0.5
    """Share of packets without a sound picture, over ten seconds, above which to reconnect."""
    hwaccel: Literal["none", "cuda"] = "none"
    """`cuda`: an NVIDIA card decodes what it can of files and RTSP, the processor the rest."""
    frozen_after_s: NonNegative = 0.0
    """Say `stale`, reason `frozen`, when the picture has not changed for so long; 0: never."""

    def __post_init__(self) -> None:
        if self.backoff_max_s < self.backoff_min_s:
            raise ValueError("`backoff_max_s` must not be below `backoff_min_s`")


class PublishSettings(Section, frozen=True):
    """Where events go out, and where subscribers ask for what they missed."""

    endpoint: str = "tcp://127.0.0.1:5599"
    replay_endpoint: str | None = None
    """Answers snapshots and replays; unset: the next TCP port, or the ipc path with `.replay`."""
    heartbeat_s: Positive = 5.0
    top_k: Annotated[int, Meta(ge=1)] = 5
    queue_size: Annotated[int, Meta(ge=100, le=10_000_000)] = 100_000
    """Messages held for a slow subscriber before it has to ask for a replay."""
    keep_predictions: Annotated[int, Meta(ge=0, le=1_000_000)] = 1000
    """Newest predictions of each stream, held in memory for replay."""
    replay_rate: Annotated[int, Meta(ge=100, le=10_000_000)] = 20_000
    """Messages replayed a second at most, to all subscribers together."""
    wait_for_subscriber_s: NonNegative = 0.0
    """Hold the streams until somebody subscribes, at most so long: for short recordings."""
    ipc_mode: str = "0600"
    """Who may connect to an ipc endpoint, as of `chmod`."""
    anyone_may_listen: bool = False
    """Publish beyond this machine without [keys]: anyone who reaches the port hears everything."""

    def __post_init__(self) -> None:
        if not re.fullmatch("0?[0-7]{3}", self.ipc_mode):
            raise ValueError(
                f"`ipc_mode` is {self.ipc_mode!r}; use three octal digits, such as 0660"
            )
        check_endpoint("endpoint", self.endpoint)
        check_endpoint("replay_endpoint", self.replay)
        if self.endpoint == self.replay and not self.endpoint.endswith(":*"):
            raise ValueError(f"`endpoint` and `replay_endpoint` are both {self.endpoint}")

    @property
    def replay(self) -> str:
        """The replay endpoint in force."""
        return self.replay_endpoint or replay_endpoint_of(self.endpoint)


class JournalSettings(Section, frozen=True):
    """The file that keeps events, so that replay reaches beyond an absence or a crash."""

    enabled: bool = True
    path: str | None = None
    """Unset: `events.sqlite` in systemd's state directory, else in ~/.local/state/streamcls."""
    max_age_days: Annotated[float, Meta(gt=0, le=36_500)] = 30.0
    max_size_mb: Annotated[float, Meta(ge=1, le=10_000_000)] = 1000.0
    predictions: bool = False
    """Keep every prediction too, not events alone."""
    power_safe: bool = False
    """Wait for the disk at every write. Without it a kill loses nothing, a power cut seconds."""


class KeySettings(Section, frozen=True):
    """CURVE keys: with them, only who holds an authorised key may listen. Both or neither."""

    secret: str | None = None
    """This daemon's secret key file, made by `streamcls keys new`."""
    authorized: str | None = None
    """A folder of clients' public key files; looked at again when it changes."""

    def __post_init__(self) -> None:
        if (self.secret is None) != (self.authorized is None):
            raise ValueError("[keys] needs both `secret` and `authorized`, or neither")

    @property
    def enabled(self) -> bool:
        """Whether connections are encrypted and clients known by their keys."""
        return self.secret is not None


class LogSettings(Section, frozen=True):
    """What is logged, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"
    """`auto`: JSON where systemd's journal takes the log, else text for people."""


class StreamSettings(Section, frozen=True):
    """One video source."""

    id: str
    url: str
    """`/path/clip.mp4`, `rtsp://user:password@host/path`, `webcam:0` or `webcam:/dev/video0`.
    `${NAME}` takes an environment variable, `${credential:NAME}` a credential of systemd's."""
    pace: Pace = Pace.REALTIME
    loop: bool = False
    stride_s: Stride | None = None
    """This stream's own stride; unset: that of [windows]."""
    max_stride_s: Stride | None = None
    """Likewise."""
    isolation: Literal["thread", "process"] = "thread"
    """`process`: decoding in a process of its own, whose crash costs this stream a reconnect."""
    decisions: DecisionSettings = DecisionSettings()
    """What is otherwise for this stream than in [decisions]."""

    def __post_init__(self) -> None:
        if not STREAM_ID.fullmatch(self.id):
            raise ValueError(f"`id` is {self.id!r}; use 1 to 64 of a-z, 0-9, `_` and `-`")
        if scheme_of(self.url) not in SCHEMES:
            raise ValueError(
                f"stream {self.id!r}: `url` has the unknown scheme"
                f" {scheme_of(self.url)!r}; use a file path, rtsp://, rtsps:// or webcam:0"
            )
        _check_strides(self.stride_s, self.max_stride_s)

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
    journal: JournalSettings = JournalSettings()
    keys: KeySettings = KeySettings()
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
        endpoints = (self.publish.endpoint, self.publish.replay)
        for endpoint in endpoints:
            port = endpoint.rpartition(":")[2]
            if endpoint.startswith("tcp:") and self.http.enabled and port == str(self.http.port):
                raise ValueError(f"`http.port`: {endpoint} has the same port; choose another")
        if self.keys.enabled or self.publish.anyone_may_listen:
            return
        for endpoint in endpoints:
            if not is_private(endpoint):
                raise ValueError(
                    f"`publish`: {endpoint} can be reached from other machines and there are no"
                    " [keys]; make some with `streamcls keys new`, publish on 127.0.0.1 or ipc://,"
                    " or give up secrecy with `anyone_may_listen = true`"
                )

    @property
    def least_stride_s(self) -> float:
        """The shortest of all streams' strides, seconds."""
        return min(stream.stride_s or self.windows.stride_s for stream in self.streams)
