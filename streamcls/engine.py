"""A model and what runs it, loaded together; shared by all streams that it classifies."""

from dataclasses import dataclass

from streamcls.config import ModelSettings
from streamcls.models.backends import Backend, TorchBackend, resolve_device
from streamcls.models.bundle import LoadedModel, load_bundle


@dataclass(frozen=True, slots=True, eq=False)
class Engine:
    """A loaded model and the backend it runs on; equal to itself alone."""

    model: LoadedModel
    backend: Backend

    @classmethod
    def load(cls, settings: ModelSettings) -> "Engine":
        """Load the model file and check that it scores as it should.

        Raises:
            ConfigError: the device is unknown or not there.
            ModelError: as `load_bundle`.
        """
        model = load_bundle(settings.path, resolve_device(settings.device))
        return cls(model, TorchBackend(model))

    def warm_up(self, settings: ModelSettings, streams: int) -> None:
        """Run the smallest and the largest batch once, so that no live window pays for it."""
        # Never a larger batch than there are streams to fill it.
        self.backend.warm_up(sorted({1, min(settings.max_batch, max(1, streams))}))
