"""The log on standard error: JSON where systemd's journal takes it, else text for people."""

import atexit
import logging
import os
import queue
import sys
import threading
import traceback
from contextlib import suppress
from datetime import datetime
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

from streamcls.clock import SystemClock
from streamcls.config import LogSettings
from streamcls.observe.repeats import Repeats
from streamcls.urls import redact

log = logging.getLogger("streamcls")

_LINES = 10_000  # held for a reader that is slow
_CLOSE_S = 1.0


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
    handler.setFormatter(_Json() if _wants_json(settings.format, sys.stderr) else _Text())
    root = logging.getLogger()
    old = root.handlers[:]
    root.addHandler(handler)  # first: without any, logging itself writes, and redacts nothing
    for before in old:
        root.removeHandler(before)
        before.close()
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


class _Handler(logging.Handler):
    """Tells repeated lines at most once a second, and never waits for whoever reads them.

    No line of ours names a URL, but a library's error may hold one: the formatters redact all.
    A thread writes. Where the reader hangs, as a pipe that nobody empties does, lines are lost and
    counted, and no capture stands still for them.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._repeats = Repeats(SystemClock())
        self._lines: queue.Queue[str | None] = queue.Queue(_LINES)
        self._lost = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def emit(self, record: logging.LogRecord) -> None:
        """Tell what is to be told now that this record has come."""
        for told in self._repeats.admit(record):
            self._tell(told)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Name the place that logs what cannot be written, without, as is usual, its values."""
        self._put(f"a line of the log is lost, of {record.pathname}:{record.lineno}")

    def close(self) -> None:
        """Tell what repeats are still untold, and wait a moment until it is written."""
        atexit.unregister(self.close)
        for record in self._repeats.untold():
            self._tell(record)
        with suppress(queue.Full):
            self._lines.put(None, timeout=_CLOSE_S)
        self._thread.join(_CLOSE_S)
        super().close()

    def _tell(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception:  # values that do not fit their message, or cannot be shown
            self.handleError(record)
        else:
            self._put(line)

    def _put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._lost += 1

    def _write(self) -> None:
        while (line := self._lines.get()) is not None:
            lost, self._lost = self._lost, 0
            if lost:
                line = f"{lost} lines of the log are lost, for nobody read it\n{line}"
            with suppress(OSError, ValueError):  # nobody reads any more
                self._stream.write(f"{line}\n")
                self._stream.flush()


class _Text(logging.Formatter):
    """`2026-01-31 12:00:00 WARNING [front-door] backoff ...`, in local time."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(about)s%(message)s", "%Y-%m-%d %H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        stream = getattr(record, "stream", "")
        record.about = f"[{stream}] " if stream else ""
        return redact(super().format(record))


class _Json(JsonFormatter):
    """`{"level": "WARNING", "message": "backoff ...", "stream": "front-door", "time": ...}`."""

    def __init__(self) -> None:
        super().__init__(
            ["levelname", "message"],
            rename_fields={"levelname": "level"},
            timestamp="time",
            json_ensure_ascii=False,
        )

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Redact each value by itself: in the whole line it would spoil what JSON escapes."""
        harmless = int | float | datetime | None
        return {
            key: value if isinstance(value, harmless) else redact(str(value))
            for key, value in super().process_log_record(log_data).items()
        }
