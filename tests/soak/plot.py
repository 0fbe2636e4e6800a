"""The soak as a picture: memory, threads, descriptors and latency over time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from streamcls.errors import MissingExtra
from tests.soak.verdicts import Seen
from tests.soak.watching import Sample


def draw(
    path: Path, samples: Sequence[Sample], seen: Sequence[Seen], reloads_s: Sequence[float]
) -> None:
    """Write a plot, SVG or PNG by the path's ending.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingExtra("the soak's plot", "soak") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    minutes = [one.at_s / 60 for one in samples]
    figure, (memory, counts, latency) = pyplot.subplots(3, 1, sharex=True, figsize=(9, 7))
    memory.plot(minutes, [one.rss_mib for one in samples], label="daemon, RSS")
    memory.plot(minutes, [one.children_mib for one in samples], label="its decoder process, RSS")
    memory.set_ylabel("MiB")
    memory.set_ylim(bottom=0)
    counts.plot(minutes, [one.threads for one in samples], label="threads")
    counts.plot(minutes, [one.descriptors for one in samples], label="file descriptors")
    counts.set_ylim(bottom=0)
    at = np.array([one.at_s / 60 for one in seen])
    took = np.array([one.latency_ms for one in seen])
    whole = np.arange(int(at[-1]) + 1)
    for percent in (50, 99):
        by_minute = [np.percentile(took[at.astype(int) == minute], percent) for minute in whole]
        latency.plot(whole + 0.5, by_minute, label=f"p{percent} of healthy streams")
    latency.set_ylabel("latency, ms")
    latency.set_ylim(bottom=0)
    latency.set_xlabel("minutes")
    for axis in (memory, counts, latency):
        for reload_s in reloads_s:
            axis.axvline(reload_s / 60, color="0.9", linewidth=0.6, zorder=0)
        axis.legend(loc="lower right", frameon=False)
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle("Soak: 12 streams, reloads (grey lines), subscribers that come and go")
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)
