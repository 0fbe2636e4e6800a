"""The child's program: `python -m streamcls.isolation SOCKET MEMORY`, two inherited descriptors.

Started by `IsolatedSource` only; what it is to do comes over the socket, for it holds passwords.
"""

import os
import signal
import socket
import sys
import threading
import traceback
from contextlib import closing, suppress
from pathlib import Path

from streamcls.clock import SystemClock
from streamcls.errors import SourceError
from streamcls.frames import Step
from streamcls.isolation.memory import ClipWriter
from streamcls.isolation.wire import (
    Alive,
    Bug,
    Counts,
    Ended,
    FreeSlot,
    FromChild,
    Job,
    StepSent,
    WindowSent,
    receive_from_parent,
    send,
)
from streamcls.pipeline.pace import Pace
from streamcls.pipeline.sources import Source, open_source
from streamcls.pipeline.windows import WindowAssembler, WindowStats
from streamcls.transforms import WindowPlan, to_small_rgb
from streamcls.transforms.pixels import convert_on_one_thread
from streamcls.urls import redact

_CLOSE_S = 1.5  # for the source to say goodbye to its camera, before the parent loses patience
_ALIVE_S = 0.5


class Child:
    """One source, run to its end for a parent at the other end of a socket."""

    def __init__(self, channel: socket.socket, clips: ClipWriter, job: Job) -> None:
        clock, cut = SystemClock(), job.cut
        plan = WindowPlan.of(cut.clip_spec, cut.stride_s)
        self._channel = channel
        self._clips = clips
        self._sending = threading.Lock()
        self._stop = threading.Event()
        self._over = threading.Event()
        self._assembler = WindowAssembler(
            job.stream.id,
            plan,
            convert=lambda image: to_small_rgb(image, cut.clip_spec),
            min_coverage=cut.min_coverage,
            live=job.stream.is_live,
            clock=clock,
            lane=cut.lane,
            epochs_before=cut.epochs_before,
            watch_still=cut.watch_still,
            pace=None if cut.seat is None else Pace(plan, cut.seat, cut.max_stride_s),
        )
        self._source: Source = open_source(job.stream, job.limits, clock, self._assembler.needs)

    def run(self) -> None:
        """Run the source, and say how it ended.

        Raises:
            ConnectionError: the parent listens no more.
        """
        threading.Thread(target=self._listen, daemon=True).start()
        telling = threading.Thread(target=self._tell_of_life, daemon=True)
        telling.start()
        try:
            end = self._play()
        finally:
            self._over.set()
            telling.join()
        self._send(end)

    def _play(self) -> Ended:
        try:
            with closing(self._source.frames(self._stop)) as frames:
                for frame in frames:
                    if not self._pass_on(self._assembler.step(frame)):
                        break
        except SourceError as error:
            return Ended(
                counts=self._counts(),
                kind=type(error).__name__,
                reason=error.reason,
                text=redact(str(error)),
            )
        return Ended(counts=self._counts())

    def _pass_on(self, step: Step) -> bool:
        """Send a step after its windows; False where nobody takes them any more."""
        for window in step.windows:
            place = self._clips.put(window.clip)
            if place is None:
                return False
            self._send(WindowSent.of(window, place))
        self._send(StepSent.of(step, self._counts()))
        return True

    def _send(self, message: FromChild) -> None:
        with self._sending:
            send(self._channel, message)

    def _counts(self) -> Counts:
        stats: WindowStats = self._assembler.stats
        return Counts(
            decode_errors=self._source.decode_errors,
            packets_skipped=self._source.packets_skipped,
            frames_converted=stats.frames_converted,
            windows=stats.windows,
            windows_dropped=stats.windows_dropped,
            frames_dropped=stats.frames_dropped,
        )

    def _listen(self) -> None:
        """Take slots back; when the parent hangs up or dies, end, and not only if all goes well."""
        while isinstance(message := receive_from_parent(self._channel), FreeSlot):
            self._clips.give_back(message.slot)
        self._stop.set()
        self._clips.close()
        self._over.wait(_CLOSE_S)
        os._exit(0)

    def _tell_of_life(self) -> None:
        """Say that data comes in, where no frame says so."""
        seen = 0
        while not self._over.wait(_ALIVE_S):
            packets, seen = seen, self._source.packets
            if packets != seen:
                try:
                    self._send(Alive())
                except OSError:
                    return


def main() -> None:
    """Take the job and do it."""
    # Ctrl-C on a terminal and systemd's stop reach all processes; ending is the parent's to order.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError):  # where memory runs out, one decoder is to go and not the daemon
        Path("/proc/self/oom_score_adj").write_text("500")
    convert_on_one_thread()
    channel = socket.socket(fileno=int(sys.argv[1]))
    try:
        job = receive_from_parent(channel)
        if isinstance(job, Job):
            Child(channel, ClipWriter(int(sys.argv[2])), job).run()
    except ConnectionError:
        pass  # nobody is left to tell
    except Exception:
        with suppress(ConnectionError):
            send(channel, Bug(redact(traceback.format_exc())))


main()
