"""The page itself."""

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from streamcls.finetune.calibration import expected_calibration_error, reliability
from streamcls.finetune.report import figures, plots
from streamcls.finetune.report.strips import strip
from streamcls.finetune.trained import Trained
from streamcls.models.bundle import Manifest

_WORST = 12
_MOST_LABELS = 30  # of a confusion matrix that can be read


def write_report(
    trained: Trained,
    manifest: Manifest,
    temperature: float,
    path: Path,
    more: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Write one HTML file that needs nothing beside itself.

    Args:
        manifest: of the model file that was written.
        more: further tables by title, each of names and values.
    """
    # Labels and file names are anybody's: whatever is not marked up here is escaped.
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["share"] = lambda value: "-" if value is None else f"{value:.3f}"
    text = files(__package__).joinpath("page.html").read_text(encoding="utf-8")
    page = environment.from_string(text).render(_facts(trained, manifest, temperature, more))
    path.write_text(page, encoding="utf-8")


def _facts(
    trained: Trained, manifest: Manifest, temperature: float, more: Mapping[str, Any]
) -> dict[str, Any]:
    labels, activation = manifest.labels, manifest.activation
    before = reliability(trained.logits, trained.targets, activation)
    after = reliability(trained.logits / temperature, trained.targets, activation)
    clips = figures.scored(labels, trained.logits / temperature, trained.targets, activation)
    matrix = figures.confusion(clips)
    small = matrix is not None and len(labels) <= _MOST_LABELS
    best = 1 + int(max(trained.history, key=lambda row: row["val_rank"])["epoch"])
    return {
        "name": manifest.name,
        "metrics": trained.metrics,
        "videos": trained.checked.counts(),
        "clips": len(clips.scores),
        "best": best,
        "epochs": len(trained.history),
        "curves": Markup(plots.curves(trained.history, best)),
        "confusion": Markup(plots.confusion_matrix(labels, matrix)) if small and matrix else "",
        "confused": figures.most_confused(labels, matrix) if matrix else [],
        "classes": sorted(figures.by_class(clips), key=lambda one: (one.f1 is None, one.f1)),
        "worst": _worst(trained, clips),
        "calibration": Markup(plots.reliability_diagram(before, after)),
        "temperature": temperature,
        "errors": [expected_calibration_error(parts) for parts in (before, after)],
        "warnings": trained.checked.data.warnings,
        "skipped": trained.skipped,
        "tables": {
            **more,
            "Recipe": trained.recipe.document(),
            "Model file": {
                "network": manifest.architecture,
                "started from": ", ".join(trained.start.described.values()),
                "clip spec": manifest.clip_spec.canonical_json().decode(),
                "weights": manifest.weights_hash,
                "written": manifest.provenance["created_utc"],
                **manifest.provenance["versions"],
            },
        },
    }


def _worst(trained: Trained, clips: figures.Scored) -> list[dict[str, Any]]:
    """The clips that cost most, with what they show and what was said."""
    found: list[dict[str, Any]] = []
    for place in figures.worst(clips, _WORST):
        clip = trained.clips[int(clips.numbers[place])]
        scores = clips.scores[place]
        said = int(scores.argmax())
        found.append(
            {
                "file": clip.video.record.path.name,
                "path": str(clip.video.record.path),
                "start_s": float(clip.start_s),
                "shown": ", ".join(clip.video.record.labels) or "none",
                "said": clips.labels[said],
                "score": float(scores[said]),
                "loss": float(clips.losses[place]),
                "strip": Markup(strip(clip, trained.start.clip_spec)),
            }
        )
    return found
