"""A model and what runs it, loaded together; shared by all streams that it classifies."""

import logging
from dataclasses import dataclass

from streamcls.config import ModelSettings, WindowSettings
from streamcls.models.backends import Backend, choose, resolve_device
from streamcls.models.bundle import LoadedModel, load_bundle
from streamcls.threads import thread_named

log = logging.getLogger("streamcls")


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """A loaded model and the backend it runs on; equal to itself alone.

    Attributes:
        why: that backend's name and why it was chosen, in one line for a person.
    """

    model: LoadedModel
    backend: Backend
    why: str = ""

    @classmethod
    def load(cls, settings: ModelSettings, stride_s: float | None = None) -> "Engine":
        """Load the model file, check that it scores as it should, and choose what runs it.

        Args:
            stride_s: the least between windows of a stream, for which it is chosen; None: that
                which the daemon has by default.

        Raises:
            ConfigError: the device is unknown or not there; or as `choose`.
            ModelError: as `load_bundle` and `choose`.
            MissingExtra: as `choose`.
        """
        stride_s = stride_s or WindowSettings().stride_s
        with thread_named("model"):
            model = load_bundle(settings.path, resolve_device(settings.device))
            chosen = choose(model, settings.backend, stride_s=stride_s)
        return cls(model, chosen.backend, chosen.why)

    def warm_up(self, settings: ModelSettings, streams: int) -> None:
        """Run the smallest and the largest batch once, so that no live window pays for it.

        It is about to serve: the log tells what it runs on, and why.
        """
        log.info("backend %s", self.why or self.backend.name)
        # Never a larger batch than there are streams to fill it.
        with thread_named("model"):
            self.backend.warm_up(sorted({1, min(settings.max_batch, max(1, streams))}))
