"""The parent's side: a source like any other, whose frames come as finished steps."""

import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Generator
from contextlib import ExitStack, suppress

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.errors import SourceError, SourceRefused, SourceTimeout, UnusableSource
from streamcls.frames import Step, Window
from streamcls.isolation.memory import ClipReader
from streamcls.isolation.wire import (
    Bug,
    Counts,
    Cut,
    Ended,
    FreeSlot,
    FromChild,
    Job,
    StepSent,
    WindowSent,
    receive_from_child,
    send,
)
from streamcls.pipeline.windows import WindowStats

_LOOK_S = 0.2  # how often a wait looks whether it was stopped
_GOODBYE_S = 1.7  # more than the child takes, less than the daemon waits for a capture
_GRACE_S = 2.0  # beyond the limits that the source keeps by itself
_START_S = 10.0  # for the process to start, on a busy machine
_KINDS = {kind.__name__: kind for kind in (SourceTimeout, SourceRefused, UnusableSource)}


class IsolatedSource:
    """One run of one source in a process of its own. Linux only.

    Attributes:
        decode_errors, packets_skipped: as in `Source`.
        stats: what the windows of this run counted.
    """

    def __init__(
        self, settings: StreamSettings, limits: CaptureSettings, cut: Cut, clock: Clock
    ) -> None:
        self.decode_errors = 0
        self.packets_skipped: Counter[str] = Counter()
        self.stats = WindowStats()
        self._job = Job(settings, limits, cut)
        self._clock = clock
        # A read that was interrupted is answered by the next one, after as long again.
        self._patience_s = 2 * limits.read_timeout_s + _GRACE_S
        self._opening_s = limits.open_timeout_s + _START_S

    def frames(self, stop: threading.Event) -> Generator[Step, None, None]:
        """The steps of every frame; see `Source.frames`.

        Raises:
            SourceError: as the source itself; or with reason `decoder_crashed` where its process
                died, `decoder_wedged` where it hung and was killed, `resources` where none could
                be started.
            UnusableSource: this system has no memory to share.
            RuntimeError: a bug in the child, with its traceback.
        """
        with _Process(self._job) as process:
            windows: list[Window] = []
            patience_s = self._patience_s + self._opening_s
            while message := self._next(process, patience_s, stop):
                patience_s = self._patience_s
                if isinstance(message, WindowSent):
                    clip = process.clips.take(message.place)
                    process.send(FreeSlot(message.place.slot))
                    windows.append(message.window(self._job.stream.id, clip))
                elif isinstance(message, StepSent):
                    self._note(message.counts)
                    step, windows = message.step(windows), []
                    yield step
                elif isinstance(message, Ended):
                    self._note(message.counts)
                    _raise(message)
                    return
                elif isinstance(message, Bug):
                    raise RuntimeError(f"in the decoder's process:\n{message.traceback}")

    def _next(
        self, process: "_Process", patience_s: float, stop: threading.Event
    ) -> FromChild | None:
        """The process's next message; None once stopped."""
        waits_since_s = self._clock.monotonic_s()
        while not process.has_spoken(_LOOK_S):
            if stop.is_set():
                return None
            if self._clock.monotonic_s() - waits_since_s > patience_s:
                raise SourceError(
                    f"the decoder hung for {patience_s:g} s and was killed",
                    reason="decoder_wedged",
                )
        if stop.is_set():
            return None
        message = receive_from_child(process.channel)
        if message is None:
            raise SourceError(
                f"the decoder's process died ({process.cause()}); this stream alone has lost its"
                " connection",
                reason="decoder_crashed",
            )
        return message

    def _note(self, counts: Counts) -> None:
        self.decode_errors = counts.decode_errors
        self.packets_skipped = Counter(counts.packets_skipped)
        self.stats = WindowStats(
            frames_converted=counts.frames_converted,
            windows=counts.windows,
            windows_dropped=Counter(counts.windows_dropped),
            frames_dropped=Counter(counts.frames_dropped),
        )


def _raise(end: Ended) -> None:
    """Raise what ended the child's source, if it was an error."""
    if end.kind in _KINDS:
        raise _KINDS[end.kind](end.text)
    if end.kind:
        raise SourceError(end.text, reason=end.reason)


class _Process:
    """The child, from its start to its end, whatever that is."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __enter__(self) -> "_Process":
        with ExitStack() as opened:
            try:
                self._open(opened)
            except OSError as error:
                raise SourceError(
                    f"a process to decode in could not be started: {error.strerror}",
                    reason="resources",
                ) from error
            self._closing = opened.pop_all()
        self.send(self._job)
        return self

    def _open(self, opened: ExitStack) -> None:
        self.channel, theirs = socket.socketpair()
        opened.enter_context(self.channel)
        opened.callback(theirs.close)
        memory = _shared_memory()
        opened.callback(os.close, memory)
        self.clips = ClipReader(memory)
        opened.callback(self.clips.close)
        # Nothing that a native library prints may reach the daemon's log: it may hold a URL.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "streamcls.isolation", str(theirs.fileno()), str(memory)],
            pass_fds=(theirs.fileno(), memory),
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        theirs.close()  # or the child's death would never be heard of
        self._poll = select.poll()
        self._poll.register(self.channel, select.POLLIN)

    def __exit__(self, *_: object) -> None:
        """Hang up, which ends the child; kill it where that does not."""
        with self._closing:
            self.channel.close()
            try:
                self._process.wait(_GOODBYE_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def has_spoken(self, timeout_s: float) -> bool:
        """Wait for a message, or for the child's death."""
        return bool(self._poll.poll(1000 * timeout_s))

    def send(self, message: Job | FreeSlot) -> None:
        """Send; to a child that is gone, nothing: its death is found when it is listened to."""
        with suppress(BrokenPipeError, ConnectionResetError):
            send(self.channel, message)

    def cause(self) -> str:
        """What the child died of, once it has hung up."""
        try:
            code = self._process.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            return "it hung up"
        if code >= 0:
            return f"exit code {code}"
        known = {one.value: one.name for one in signal.Signals}
        return known.get(-code, f"signal {-code}")


def _shared_memory() -> int:
    """The descriptor of an anonymous file that may grow, but not shrink.

    Whoever reads memory that is gone is killed by SIGBUS: the child must not do that to its parent.

    Raises:
        UnusableSource: this system has none.
    """
    if not hasattr(os, "memfd_create"):
        raise UnusableSource(
            'decoding in a process of its own needs Linux; set isolation = "thread"'
        )
    memory = os.memfd_create("streamcls-clips", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    fcntl.fcntl(memory, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return memory


def _environment() -> dict[str, str]:
    """The child's: it imports what its parent would, and starts no threads for linear algebra."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
        "OPENBLAS_NUM_THREADS": "1",
    }
