"""Names of threads that the system knows: seen in `top -H` and in /proc, where CPU is counted."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LONGEST = 15  # bytes that Linux keeps


def name_thread(name: str) -> None:
    """Name the calling thread, and with it those that libraries begin from it from now on.

    Python tells the system its threads' names from 3.14 on; a system without them is left alone.
    """
    with suppress(OSError):
        _file().write_bytes(name.encode()[:_LONGEST])


@contextmanager
def thread_named(name: str) -> Iterator[None]:
    """For a while: threads begun meanwhile keep the name."""
    before = ""
    with suppress(OSError):
        before = _file().read_text().rstrip("\n")
    name_thread(name)
    try:
        yield
    finally:
        if before:
            name_thread(before)


def _file() -> Path:
    return Path(f"/proc/self/task/{threading.get_native_id()}/comm")
