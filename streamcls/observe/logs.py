"""The log: lines on standard error, which systemd's journal and terminals both take."""

import logging
import sys
import traceback

from streamcls.config import LogSettings
from streamcls.urls import redact

log = logging.getLogger("streamcls")


def logger_for(stream: str) -> "logging.LoggerAdapter[logging.Logger]":
    """The log, with a stream's id on every line."""
    return logging.LoggerAdapter(log, {"stream": stream})


def log_to_stderr(settings: LogSettings) -> None:
    """Send this process's log to standard error."""
    logging.basicConfig(
        stream=sys.stderr,
        level=settings.level.upper(),
        format="%(asctime)s %(levelname)s %(message)s",
    )


def log_fault(where: str, error: BaseException) -> None:
    """Log an error nobody foresaw, with its trace, and without the passwords its text may hold."""
    trace = "".join(traceback.format_exception(error))
    log.error("%s: a fault inside streamcls; please report it:\n%s", where, redact(trace))
