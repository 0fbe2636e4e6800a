"""One thread per stream: runs its source, passes the frames on, and is the one that tries again."""

import threading
from collections.abc import Callable
from contextlib import closing
from random import Random
from typing import Generic

from streamcls.clock import Clock
from streamcls.config import CaptureSettings, StreamSettings
from streamcls.errors import SourceError, SourceRefused, UnusableSource
from streamcls.events import State, StatusData, utc
from streamcls.pipeline.opening import OpeningTurns, Turn, backoff_s
from streamcls.pipeline.priority import give_way
from streamcls.pipeline.source import CaptureStats, Item, Source
from streamcls.threads import name_thread
from streamcls.urls import redact

_HEALTHY_S = 30.0  # frames for so long and the next failure counts as the first
_STALE_S = 3.0
_STALE_FRAMES = 10


class Capture(Generic[Item]):
    """Keeps one stream flowing until it ends, is stopped, or cannot be used.

    States: connecting -> (first decoded frame) warming_up -> (a whole window) up, with stale while
    frames stay away or all show the same; then backoff and again connecting, or at last failed or
    stopped.

    Attributes:
        error: the exception that ended the stream for good, if one did.
        stopping: set by `stop`, for consumers that wait on behalf of this thread.
    """

    def __init__(
        self,
        settings: StreamSettings,
        limits: CaptureSettings,
        *,
        open_source: Callable[[], Source[Item]],
        turns: OpeningTurns,
        on_frame: Callable[[Item], bool],
        on_status: Callable[[str, StatusData], None],
        on_lost: Callable[[str, str], None],
        on_fault: Callable[[str, BaseException], None],
        on_end: Callable[[str, BaseException | None], None],
        clock: Clock,
        random: Random,
        unchanged_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Store the parts.

        Args:
            turns: live sources open in turn, shared by all captures.
            on_frame: takes each frame; says whether the stream has had a whole window since it
                connected. Its errors are bugs: a file ends with one, a camera is connected anew.
            on_status: told each state as it begins, in order; must neither block nor call back.
            on_lost: told (stream, reason) once when a connection's frames cease, whyever, before
                the status that follows from it.
            on_fault: told (stream, error) of an error that nobody foresaw, before what follows it.
            on_end: told (stream, `error`) when the thread ends.
            unchanged_s: says, after each frame, for how long the picture has stood still, seconds.
        """
        self.error: BaseException | None = None
        self.stopping = threading.Event()
        self._stream = settings.id
        self._is_file = settings.is_file
        self._limits = limits
        self._open_source = open_source
        self._turns = turns
        self._on_frame = on_frame
        self._on_status = on_status
        self._on_lost = on_lost
        self._on_fault = on_fault
        self._on_end = on_end
        self._clock = clock
        self._random = random
        self._unchanged_s = unchanged_s
        self._lock = threading.Lock()  # guards the counts and the state: statuses keep their order
        self._stats = CaptureStats()
        self._source: Source[Item] | None = None
        self._attempt = 0
        self._stop_reason = "stopped"
        self._flowing: State | None = None  # warming_up or up while a connection gives frames
        self._frozen = False
        self._first_frame_s = 0.0
        self._last_frame_s = 0.0
        self._waiting_since_s: float | None = None  # None while `on_frame` has the thread
        self._interval_s = 0.0
        self._thread = threading.Thread(target=self._run, name=f"capture-{self._stream}")
        self._thread.daemon = True

    @property
    def stats(self) -> CaptureStats:
        """A copy of the counts as they are now. Callable from any thread."""
        with self._lock:
            return self._stats.including(self._source)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, reason: str = "stopped") -> None:
        """Ask the thread to end; a blocked read delays it by `read_timeout_s`. Idempotent.

        Args:
            reason: what the last status is to say.
        """
        self._stop_reason = reason
        self.stopping.set()

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; True if it came in time."""
        if self._thread.ident:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def check_stale(self, now_s: float) -> None:
        """Say `stale` if frames stay away; to be called every second or so from outside.

        A stream is stale after 3 s without a frame, or 10 frame times if that is longer. Time
        that a frame spends with its consumer does not count against its source.
        """
        with self._lock:
            since_s = self._waiting_since_s
            if since_s is None or self._stats.state not in ("warming_up", "up"):
                return
            silent_s = now_s - since_s
            if silent_s > max(_STALE_S, _STALE_FRAMES * self._interval_s):
                self._enter("stale", reason="no_frames", detail=f"no frame for {silent_s:.0f} s")

    def _run(self) -> None:
        name_thread(f"capture-{self._stream}")
        give_way()  # and with it the process of an isolated source
        try:
            self._serve()
        except Exception as error:  # a bug, here or in a consumer: this stream ends, and says so
            self.error = error
            self._on_fault(self._stream, error)
            self._lose("internal_error")
            self._change("failed", "internal_error", f"{type(error).__name__}: {error}")
        finally:
            self._on_end(self._stream, self.error)

    def _serve(self) -> None:
        while not self.stopping.is_set():
            self._change("connecting")
            try:
                self._play()
            except SourceError as error:
                self._lose("stopped" if self.stopping.is_set() else error.reason)
                if self.stopping.is_set():
                    break
                if self._is_file and _is_hopeless(error):
                    self.error = error
                    self._change("failed", error.reason, str(error))
                    return
                self._back_off(error)
            except Exception as error:
                if self._is_file:
                    raise
                # One freak frame in months must not cost a camera: its next connection may do.
                self._on_fault(self._stream, error)
                self._lose("internal_error")
                text = f"{type(error).__name__}: {error}"
                self._back_off(SourceError(text, reason="internal_error"))
            else:
                if not self.stopping.is_set():
                    self._lose("end_of_file")
                    self._change("stopped", "end_of_file")
                    return
        self._lose("stopped")
        self._change("stopped", self._stop_reason)

    def _play(self) -> None:
        """Run one source to its end. Raises what it raises."""
        if self._is_file:
            self._run_source(None)
            return
        with self._turns.turn(self._attempt, self.stopping) as turn:
            if turn.is_held:
                self._run_source(turn)

    def _run_source(self, turn: Turn | None) -> None:
        source = self._open_source()
        with self._lock:
            self._source = source
        try:
            with closing(source.frames(self.stopping)) as frames:
                for frame in frames:
                    if turn:
                        turn.give_back()  # open is what gives a frame
                    self._take(frame)
        finally:
            with self._lock:
                self._stats = self._stats.including(source)
                self._source = None

    def _take(self, frame: Item) -> None:
        now_s = frame.arrival_monotonic_s
        with self._lock:
            self._waiting_since_s = None
            self._stats.frames_decoded += frame.is_decoded
            self._stats.last_frame_utc_s = frame.arrival_utc_s
            if self._flowing is None:
                self._flowing = "warming_up"
                self._first_frame_s, self._interval_s = now_s, 0.0
            else:
                # A running mean over about eight frames.
                self._interval_s += (now_s - self._last_frame_s - self._interval_s) / 8
            self._last_frame_s = now_s
            if self._stats.state != self._flowing and not self._frozen:
                self._enter(self._flowing)
            if now_s - self._first_frame_s >= _HEALTHY_S:
                self._attempt = 0
        whole_window = self._on_frame(frame)
        with self._lock:
            if whole_window and self._flowing == "warming_up":
                self._flowing = "up"
                if not self._frozen:
                    self._enter("up")
            self._judge_picture(self._flowing)
            self._waiting_since_s = self._clock.monotonic_s()

    def _judge_picture(self, flowing: State) -> None:
        """Say `stale` while the picture stands still for too long; the caller holds the lock."""
        limit_s = self._limits.frozen_after_s
        frozen = 0 < limit_s <= self._unchanged_s()
        if frozen != self._frozen:
            self._frozen = frozen
            if frozen:
                self._enter("stale", "frozen", f"the picture has not changed for {limit_s:g} s")
            else:
                self._enter(flowing)

    def _back_off(self, error: SourceError) -> None:
        self._attempt += 1
        if isinstance(error, SourceRefused | UnusableSource):
            retry_in_s = self._limits.refused_retry_s
        else:
            retry_in_s = backoff_s(self._attempt, self._limits, self._random)
        with self._lock:
            self._stats.reconnects[error.reason] += 1
        self._change("backoff", error.reason, str(error), retry_in_s)
        self._clock.wait(self.stopping, retry_in_s)

    def _lose(self, reason: str) -> None:
        """Tell, if frames were flowing, that they no longer do."""
        with self._lock:
            was_flowing = self._flowing is not None
            self._flowing = self._waiting_since_s = None
            self._frozen = False
        if was_flowing:
            self._on_lost(self._stream, reason)

    def _change(
        self, state: State, reason: str = "", detail: str = "", retry_in_s: float | None = None
    ) -> None:
        with self._lock:
            self._enter(state, reason, detail, retry_in_s)

    def _enter(
        self, state: State, reason: str = "", detail: str = "", retry_in_s: float | None = None
    ) -> None:
        """Begin a state and publish it; the caller holds the lock."""
        self._stats.state = state
        self._on_status(
            self._stream,
            StatusData(
                state=state,
                reason=reason,
                detail=redact(" ".join(detail.split())),
                attempt=self._attempt if state in ("connecting", "backoff") else 0,
                retry_in_s=retry_in_s,
                since=utc(self._clock.utc_s()),
            ),
        )


def _is_hopeless(error: SourceError) -> bool:
    """Whether a file that failed so would fail again at the same place."""
    at_a_place = ("truncated", "decoder_crashed", "decoder_wedged")
    return isinstance(error, UnusableSource) or error.reason in at_a_place
