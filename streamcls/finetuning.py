"""Finetuning as a whole: from labelled videos to a model file that is right when it goes live.

    train -> make its probabilities honest -> write the model file
          -> choose thresholds on what a camera would have seen -> report

What is trained and how is `finetune`'s; what the daemon would make of it is `offline`'s.
"""

import logging
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from streamcls.config import BackendName, ModelSettings
from streamcls.engine import Engine
from streamcls.errors import DataError, MissingExtra
from streamcls.finetune.data import VideoData
from streamcls.finetune.train import train as fit
from streamcls.finetune.trained import Trained
from streamcls.finetune.training.recipe import Custom, Recipe
from streamcls.models.backends import resolve_device
from streamcls.models.bundle import DecisionDefaults, Manifest, check_target
from streamcls.models.manifest import read_manifest
from streamcls.offline.evaluate import Figures, judge, score_all
from streamcls.offline.files import find_videos
from streamcls.offline.recordings import reading
from streamcls.offline.scored import decided_again
from streamcls.offline.streams import score_clips
from streamcls.offline.tracks import read_tracks
from streamcls.offline.tuning import policies_of, rewrite_decisions, tuned

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """What finetuning came to.

    Attributes:
        metrics: of the kept epoch, by name; see `streamcls.finetune.training.measures`.
        skipped: files that could not be used, and why.
        warnings: why validation may look better than it is.
        history: every epoch's metrics.
        events: None where no thresholds were chosen.
    """

    path: Path
    manifest: Manifest
    metrics: dict[str, float]
    skipped: tuple[str, ...]
    warnings: tuple[str, ...]
    history: tuple[dict[str, float], ...]
    events: "Events | None"


@dataclass(frozen=True, slots=True)
class Events:
    """How well events are right on validation streams, before thresholds were chosen and after.

    Attributes:
        streams: what they were chosen on.
    """

    before: Figures
    after: Figures
    streams: str


def train(
    data: VideoData | str | Path,
    *,
    model: str,
    out: str | Path,
    pretrained: str | None = None,
    recipe: Recipe | None = None,
    custom: Custom | None = None,
    background_label: str | None = None,
    calibrate: bool = True,
    tune: bool = True,
    recordings: str | Path | None = None,
    device: str = "auto",
    run_dir: str | Path | None = None,
    resume: bool = False,
    tensorboard: bool = False,
    progress: bool = True,
) -> Report:
    """Train, keep the epoch best on the validation videos, and write a model file.

    Single-label data makes a softmax file, multi-label data a sigmoid one, whatever the weights to
    start from were made for: below the head they are used all the same.

    Of several processes that train together only the first returns; the others end here.

    Args:
        data: labelled videos; or a folder, read as `VideoData.from_folders`.
        model: a zoo name (`x3d_xs`), with random weights unless `pretrained` is given; or a model
            file or bundled name, whose weights are kept and whose head is replaced.
        out: the model file to write; it ends in .safetensors.
        pretrained: a model file of the same architecture to take weights and clip spec from.
        custom: parts of your own in the place of ours.
        background_label: the class that shall open no event.
        calibrate: divide the logits by the temperature at which probabilities fit best what was
            right in validation.
        tune: choose each label's thresholds and durations for event F1, on `recordings`, or on the
            validation videos played one after another; they become the file's decision defaults.
        recordings: a folder of long videos with label tracks beside them (CSV, JSON or WebVTT), as
            `streamcls evaluate` takes them.
        device: as `resolve_device`.
        run_dir: keeps the checkpoint, the logs (metrics.csv) and the report (report.html); None: a
            temporary folder, and no report.
        resume: go on from the checkpoint in `run_dir`, if there is one.
        tensorboard: write its event files into `run_dir`, too.
        progress: show a progress bar on standard output.

    Raises:
        MissingExtra: the extra `finetune` is not installed.
        DataError: the data or the recipe cannot be used, or there is a checkpoint and `resume` was
            not asked for.
        ModelError: `model` or `pretrained` cannot be used.
        ConfigError: the device is not there, or `out` cannot be written.
    """
    recipe, out = recipe or Recipe(), Path(out)
    # What would only fail after hours of training is refused before it.
    check_target(out)
    where = resolve_device(device)
    if not isinstance(data, VideoData):
        data = VideoData.from_folders(data, seed=recipe.seed)
    if background_label is not None and background_label not in data.labels:
        raise DataError(
            f"background label {background_label!r} is no class of {data.described}; its classes:"
            f" {', '.join(data.labels)}"
        )
    if recordings is not None:
        read_tracks(None, find_videos([Path(recordings)]), data.labels)
    write_report = None if run_dir is None else _report_writer()
    with ExitStack() as stack:
        folder = Path(run_dir or stack.enter_context(tempfile.TemporaryDirectory()))
        trained = fit(
            data,
            model=model,
            pretrained=pretrained,
            recipe=recipe,
            custom=custom or Custom(),
            device=where,
            run_dir=folder,
            resume=resume,
            tensorboard=tensorboard,
            progress=progress,
        )
        temperature = trained.calibrate() if calibrate else 1.0
        manifest = trained.write(
            out,
            DecisionDefaults(background_label=background_label),
            temperature=round(temperature, 6),
        )
        events = _tuned(out, device, trained, recordings) if tune else None
        if write_report is not None:
            tables = {"Events": _as_table(events)} if events else {}
            write_report(trained, manifest, temperature, folder / "report.html", tables)
        # Until here a killed run can go on without training again.
        trained.checkpoint.unlink(missing_ok=True)
    return Report(
        out,
        read_manifest(out),
        trained.metrics,
        trained.skipped,
        data.warnings,
        trained.history,
        events,
    )


def _tuned(
    out: Path, device: str, trained: Trained, recordings: str | Path | None
) -> Events | None:
    """Choose thresholds, write them into the model file, and tell what they gained."""
    engine = Engine.load(ModelSettings(path=str(out), device=device, backend=BackendName.TORCH))
    settings = reading(engine)
    labels = engine.model.labels
    if recordings is not None:
        files = find_videos([Path(recordings)])
        tracks = read_tracks(None, files, labels)
        scored, failed = score_all(settings, tracks)
        streams = f"{len(scored)} recording(s)"
    else:
        clips = [one.record for one in trained.checked.val if one.record.clip is None]
        scored, tracks, failed = score_clips(settings, clips, seed=trained.recipe.seed)
        streams = f"{len(clips)} validation videos, one after another"
    for problem in failed:
        _log.warning("not used for thresholds: %s", problem)
    background = engine.model.manifest.decisions.background_label
    shown = {segment.label for one in scored for segment in tracks[one.name]} - {background}
    if not shown or not any(len(one.scores) for one in scored):
        _log.warning("no thresholds were chosen: there is no stream with a labelled event")
        return None
    defaults = tuned(settings, scored, tracks)
    rewrite_decisions(out, defaults, out)
    again = decided_again(scored, policies_of(defaults, labels), labels)
    before, after = (judge(settings, one, tracks).total for one in (scored, again))
    return Events(before, after, streams)


def _report_writer() -> Callable[..., None]:
    try:
        from streamcls.finetune.report import write_report  # noqa: PLC0415 (an extra)
    except ImportError:
        raise MissingExtra("Writing the report", "finetune") from None
    return write_report


def _as_table(events: Events) -> dict[str, str]:
    """The report's words on events."""

    def told(name: str) -> str:
        numbers = (getattr(one, name) for one in (events.before, events.after))
        return " before, ".join("-" if n is None else f"{n:.3f}" for n in numbers) + " after"

    return {
        "thresholds were chosen on": events.streams,
        "F1": told("f1"),
        "precision": told("precision"),
        "recall": told("recall"),
        "median delay, s": told("delay_median_s"),
        "false alarms an hour": told("false_alarms_per_hour"),
    }
