"""Reloading while serving: read and load on a thread of its own, apply on the main loop."""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from streamcls.clock import Clock
from streamcls.delivery import Delivery
from streamcls.errors import StreamclsError
from streamcls.fleet import Fleet
from streamcls.observe.logs import log_fault, log_to_stderr
from streamcls.observe.metrics import ReloadCounts
from streamcls.observe.systemd import notify, reloading
from streamcls.pipeline.inference import InferenceWorker
from streamcls.reload import Plan, Prepared, prepare
from streamcls.urls import redact

log = logging.getLogger("streamcls")

Outcome = Prepared | Exception
"""A configuration that is ready to be served, or why there is none."""


class Reloader:
    """Puts a changed configuration file in force, or says why not and leaves all as it is.

    However often it is asked while it is busy, the file is read once more, after that. `ask` and
    `finish` belong to the main loop.

    Attributes:
        is_busy: whether a configuration is being prepared.
    """

    def __init__(
        self,
        config: Path | None,
        *,
        fleet: Fleet,
        worker: InferenceWorker,
        delivery: Delivery,
        clock: Clock,
        on_ready: Callable[[Outcome], None],
    ) -> None:
        """Store the parts.

        Args:
            config: the file; None where the settings are from none.
            on_ready: told, on another thread, what came of it; answer it with `finish`.
        """
        self._results = Counter(applied=0, unchanged=0, rejected=0)
        self._rejected = False
        self._in_force_utc_s = clock.utc_s()
        self._config = config
        self._fleet = fleet
        self._worker = worker
        self._delivery = delivery
        self._clock = clock
        self._on_ready = on_ready
        self.is_busy = False
        self._again = False
        self._preparing = threading.Lock()  # at most one more model in memory at a time

    def pending(self) -> str:
        """The file, and what a reload would do now, a line each. Callable from any thread.

        Empty where there is no file. Holds no values, so no secrets.
        """
        if self._config is None:
            return ""
        try:
            with self._preparing:
                lines = self._fleet.plan(prepare(self._config, self._fleet.now)).lines()
        except StreamclsError as error:
            lines = [f"reject it: {redact(str(error))}"]
        return "\n".join([str(self._config.resolve()), *lines])

    def counts(self) -> ReloadCounts:
        """How many reloads were `applied`, found the file `unchanged`, or were `rejected`.

        Callable from any thread.
        """
        return ReloadCounts(dict(self._results), self._rejected, self._in_force_utc_s)

    def ask(self) -> None:
        """Read the file again, now or once the present reload is done."""
        if self._config is None:
            log.warning("there is no configuration file to read again")
        elif self.is_busy:
            self._again = True
        else:
            self.is_busy = True
            reloading(self._clock)
            args = (self._config,)
            threading.Thread(target=self._run, args=args, name="reload", daemon=True).start()

    def finish(self, outcome: Outcome) -> None:
        """Put in force what is ready, or say why nothing is."""
        if isinstance(outcome, Prepared):
            self._apply(outcome)
        else:
            self._reject(outcome)
        notify("READY=1")
        self.is_busy = False
        if self._again:
            self._again = False
            self.ask()

    def _run(self, config: Path) -> None:
        try:
            outcome: Outcome = self._prepared(config)
        except Exception as error:  # even a bug must not end the run that was to be changed
            outcome = error
        self._on_ready(outcome)

    def _prepared(self, config: Path) -> Prepared:
        now = self._fleet.now
        with self._preparing:
            new = prepare(config, now)
        if new.engine is not now.engine:
            new.engine.warm_up(new.settings.model, len(new.settings.streams))
        return new

    def _apply(self, new: Prepared) -> None:
        old = self._fleet.now.settings
        changes = self._fleet.apply(new)
        self._worker.max_batch = new.settings.model.max_batch
        self._worker.max_wait_s = new.settings.model.max_wait_ms / 1000
        if new.settings.log != old.log:
            log_to_stderr(new.settings.log)
        self._delivery.tell_config_problem("")
        self._results["unchanged" if changes == Plan() else "applied"] += 1
        self._rejected, self._in_force_utc_s = False, self._clock.utc_s()
        log.info("reloaded: %s", "; ".join(changes.lines()))

    def _reject(self, error: Exception) -> None:
        self._results["rejected"] += 1
        self._rejected = True
        if isinstance(error, StreamclsError):
            log.error("not reloaded, the old configuration stays in force: %s", error)
        else:
            log_fault("reload", error)
        self._delivery.tell_config_problem(redact(str(error)) or type(error).__name__)
