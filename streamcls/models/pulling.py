"""Official weights, fetched and converted into a model file. The daemon reads none of this."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streamcls.errors import ModelError
from streamcls.models.bundle import Manifest, check_target
from streamcls.models.download import Downloaded, Progress, download
from streamcls.models.hub.kinetics import LABELS_URL
from streamcls.models.importing import import_checkpoint
from streamcls.models.zoo import architectures, find_architecture


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model file of official weights, and the checkpoint it was made of."""

    path: Path
    manifest: Manifest
    checkpoint: Downloaded


def pull(
    name: str,
    out: Path,
    *,
    mirror: str | None = None,
    sha256: str | None = None,
    progress: Callable[[str], Progress] = lambda _name: lambda _have, _total: None,
    timeout_s: float = 30.0,
) -> Pulled:
    """Fetch a network's official weights and the names of its labels; write a model file.

    The checkpoint is kept beside `out` while it arrives and removed once converted. Nobody
    publishes checksums of these files: the one that arrived goes into the model file's provenance,
    and can be demanded the next time.

    Args:
        mirror: folder URL that holds files of the same names, instead of the official address.
        sha256: of the checkpoint, hexadecimal; another file is refused.
        progress: given a file's name, what is told of its bytes.

    Raises:
        ModelError: no such network, no official weights of it, or what came is not its weights.
        ConfigError, StreamclsError: as `download`; or `out` cannot be written.
    """
    url = find_architecture(name).checkpoint
    if url is None:
        having = ", ".join(key for key, entry in architectures().items() if entry.checkpoint)
        raise ModelError(f"no weights of {name} are published; there are of: {having}")
    check_target(out)

    @contextmanager
    def fetched(source: str, demanded: str | None = None) -> Iterator[Downloaded]:
        file = source.rpartition("/")[2]
        arrived = download(
            source if mirror is None else f"{mirror.rstrip('/')}/{file}",
            out.with_name(f"{out.name}.{file}"),
            sha256=demanded,
            progress=progress(file),
            timeout_s=timeout_s,
        )
        try:
            yield arrived
        finally:
            arrived.path.unlink()

    with fetched(LABELS_URL) as labels, fetched(url, sha256) as checkpoint:
        manifest = import_checkpoint(
            checkpoint.path,
            architecture=name,
            labels=labels.path,
            out=out,
            provenance={"url": checkpoint.url, "sha256": checkpoint.sha256},
        )
    return Pulled(out, manifest, checkpoint)
