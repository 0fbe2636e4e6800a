"""torch.compile's Inductor, ahead of time: the network as C++ for this processor, kept on disk."""

import io
import warnings

import torch

from streamcls.models.backends.cache import NetworkCache
from streamcls.models.backends.converted import ConvertedBackend, origin
from streamcls.models.backends.portable import example, portable
from streamcls.models.bundle import LoadedModel


def inductor_backend(model: LoadedModel, cache: NetworkCache) -> ConvertedBackend:
    """A network compiled with its weights frozen; a minute's work, for which a compiler is needed.

    Raises:
        Exception: of any kind, where it cannot be compiled.
    """
    from torch._inductor import aoti_load_package  # noqa: PLC0415 (it imports for seconds)

    made_from = origin("inductor", model)
    package = cache.read(made_from)
    if package is None:
        package = _compile(model)
        cache.write(package, made_from)
    network = aoti_load_package(io.BytesIO(package))
    return ConvertedBackend(
        "inductor", model, lambda pixels: torch.cat([network(clip[None]) for clip in pixels])
    )


def _compile(model: LoadedModel) -> bytes:
    """The network's machine code and weights, as one file."""
    from torch._inductor import aoti_compile_and_package  # noqa: PLC0415 (it imports for seconds)

    stream = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        exported = torch.export.export(portable(model), (example(model.clip_spec),))
        aoti_compile_and_package(exported, package_path=stream, inductor_configs={"freezing": True})
    return stream.getvalue()
