"""The log on standard error: JSON where systemd's journal takes it, else text for people."""

import atexit
import logging
import os
import sys
import traceback
from typing import TextIO

from pythonjsonlogger.json import JsonFormatter

from streamcls.clock import SystemClock
from streamcls.config import LogSettings
from streamcls.observe.repeats import Repeats
from streamcls.urls import redact

log = logging.getLogger("streamcls")


def logger_for(stream: str) -> "logging.LoggerAdapter[logging.Logger]":
    """The log, with a stream's id on every line."""
    return logging.LoggerAdapter(log, {"stream": stream})


def log_fault(where: str, error: BaseException) -> None:
    """Log an error nobody foresaw, with its trace.

    Args:
        where: the id of the stream, or what was being done.
    """
    trace = "".join(traceback.format_exception(error))
    logger_for(where).error("a fault inside streamcls; please report it:\n%s", redact(trace))


def log_to_stderr(settings: LogSettings) -> None:
    """Send this process's log to standard error. May be called again, with other settings."""
    handler = _Handler(sys.stderr)
    handler.setFormatter(_json() if _wants_json(settings.format, sys.stderr) else _Text())
    root = logging.getLogger()
    for before in root.handlers[:]:
        root.removeHandler(before)
        before.close()
    root.addHandler(handler)
    root.setLevel(settings.level.upper())


def _wants_json(asked: str, stream: TextIO) -> bool:
    """Whether lines are to be JSON; by default where systemd says that its journal reads them."""
    if asked != "auto":
        return asked == "json"
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    # systemd.exec(5): device and inode of the stream that is connected to the journal.
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class _Handler(logging.StreamHandler[TextIO]):
    """Tells repeated lines at most once a second, and lets no credential out."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._repeats = Repeats(SystemClock())
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        """Write what is to be told now that this record has come."""
        for told in self._repeats.admit(record):
            super().emit(told)

    def format(self, record: logging.LogRecord) -> str:
        """The last line of defence: no line names a URL, but a library's error may hold one."""
        return redact(super().format(record))

    def close(self) -> None:
        """Tell what repeats are still untold."""
        for record in self._repeats.untold():
            super().emit(record)
        atexit.unregister(self.close)
        super().close()


class _Text(logging.Formatter):
    """`2026-01-31 12:00:00 WARNING [front-door] backoff ...`, in local time."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(about)s%(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        stream = getattr(record, "stream", "")
        record.about = f"[{stream}] " if stream else ""
        return super().format(record)


def _json() -> logging.Formatter:
    return JsonFormatter(
        ["levelname", "message"],
        rename_fields={"levelname": "level"},
        timestamp="time",
        json_ensure_ascii=False,
    )
