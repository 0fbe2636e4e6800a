"""The tree of errors. Each message names what was wrong and what to do about it.

    StreamclsError              anything this package raises on purpose       exit 1
    |-- ConfigError             the operator's settings are wrong             exit 2
    |   `-- ModelError          the model file cannot be served as it is      exit 2
    |-- SourceError             a video source failed; a retry may help
    |   |-- SourceTimeout       it went silent for longer than its limit
    |   |-- SourceRefused       credentials or path were refused (401, 403, 404)
    |   `-- UnusableSource      no retry can help: no video in it, not a video
    |-- BindError               an address to publish or listen on is taken   exit 1
    |-- MissingExtra            an optional dependency is not installed       exit 2
    `-- DataError               a folder of clips cannot be trained on        exit 2

Exit 2 says "a restart will not help, change what you asked for"; exit 1 says "it failed while
running". The systemd unit relies on the difference.
"""


class StreamclsError(Exception):
    """Base of every error raised on purpose; its text is one line fit for an operator."""

    exit_code = 1


class ConfigError(StreamclsError):
    """A setting is unknown, missing or out of range."""

    exit_code = 2


class ModelError(ConfigError):
    """A model file is truncated, altered, of an unknown architecture or not a bundle."""


class SourceError(StreamclsError):
    """A source could not be opened or stopped delivering; `reason` is a short metric label."""

    def __init__(self, message: str, *, reason: str = "error") -> None:
        super().__init__(message)
        self.reason = reason


class SourceTimeout(SourceError):
    """A source did not answer, or delivered no frame, within its limit."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="timeout")


class SourceRefused(SourceError):
    """A source answered and said no: wrong credentials or no such path."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="refused")


class UnusableSource(SourceError):
    """A source that no retry can mend: not a video file, or one without a video stream."""

    def __init__(self, message: str) -> None:
        super().__init__(message, reason="unusable")


class BindError(StreamclsError):
    """An address to bind is in use or not ours."""


class MissingExtra(StreamclsError):
    """A feature needs packages of an extra that is not installed."""

    exit_code = 2

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs more packages: pip install 'streamcls[{extra}]'")


class DataError(StreamclsError):
    """A data folder has no usable clips, or its classes do not agree."""

    exit_code = 2
