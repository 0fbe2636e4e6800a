"""The JSON document in a model file, and reading it without the weights.

A model file is one .safetensors file (https://github.com/huggingface/safetensors, "Format"): eight
bytes of header length, a JSON header, the tensors. The header's `__metadata__` maps text to text;
its key `streamcls` holds this document.
"""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from streamcls.errors import ModelError
from streamcls.transforms.spec import ClipSpec

FORMAT_VERSION = 1
METADATA_KEY = "streamcls"

_MAX_HEADER_BYTES = 100_000_000  # the safetensors library's own limit
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

# Far beyond any network, and far below what would stop a machine.
_MAX_CLIP_PIXELS = 2**28
_MAX_ARGUMENT = 100_000
_MAX_FACTOR = 100
_FPS = (0.001, 1000)
_MAX_SPAN_S = 86_400
_MESSAGE_LENGTH = 500

Share = Annotated[float, Meta(ge=0, le=1)]
OnThreshold = Annotated[float, Meta(gt=0, le=1)]  # every score reaches 0
NonNegative = Annotated[float, Meta(ge=0)]


class Activation(StrEnum):
    """What makes probabilities of a network's logits, and so what a score means."""

    SOFTMAX = "softmax"
    """Single-label: the labels exclude each other, their scores sum to 1."""
    SIGMOID = "sigmoid"
    """Multi-label: each label holds or not, whatever the others do."""


class LabelDecisionDefaults(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True
):
    """How one label's scores become events. None: as for every label."""

    smoothing_s: NonNegative | None = None
    on_threshold: OnThreshold | None = None
    off_threshold: Share | None = None
    min_duration_s: NonNegative | None = None
    cooldown_s: NonNegative | None = None
    update_s: NonNegative | None = None

    def said(self) -> dict[str, float]:
        """What it does say, by name."""
        values = msgspec.structs.asdict(self)
        return {key: value for key, value in values.items() if value is not None}


class DecisionDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How this model's scores become events, unless the operator sets otherwise."""

    smoothing_s: NonNegative = 1.0
    on_threshold: OnThreshold = 0.6
    off_threshold: Share = 0.4
    min_duration_s: NonNegative = 1.0
    cooldown_s: NonNegative = 2.0
    update_s: NonNegative = 5.0
    background_label: str | None = None
    """The label that means nothing happens; it opens no event."""
    labels: dict[str, LabelDecisionDefaults] = {}
    """What is otherwise for single labels."""

    def __post_init__(self) -> None:
        general = self.for_labels()
        for place, own in {"": {}, **self.for_single_labels()}.items():
            values = general | own
            if values["off_threshold"] > values["on_threshold"]:
                of_label = f" for {place!r}" if place else ""
                raise ValueError(
                    f"off_threshold {values['off_threshold']} is above on_threshold"
                    f" {values['on_threshold']}{of_label}"
                )
        if self.background_label in self.labels:
            raise ValueError(
                f"{self.background_label!r} opens no event, so it has no decisions of its own"
            )

    def for_labels(self) -> dict[str, float]:
        """What holds for every label that says nothing of its own, by name."""
        values = msgspec.structs.asdict(self)
        del values["background_label"], values["labels"]
        return values

    def for_single_labels(self) -> dict[str, dict[str, float]]:
        """What is otherwise, by label and name."""
        return {label: own.said() for label, own in self.labels.items()}


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All that a model file says besides its weights.

    Attributes:
        architecture, arguments: a zoo name and what its builder is called with.
        labels: in the order of the network's outputs.
        activation: a file without it is of a single-label network.
        clip_spec_hash: `clip_spec.hash()` when the file was written.
        weights_hash: of the tensors, likewise.
        golden: the probabilities of `golden_clip(clip_spec)`, in label order.
        provenance: data, metrics, date, versions; for people, never read by the daemon.
    """

    format_version: int = FORMAT_VERSION
    name: str
    architecture: str
    arguments: dict[str, Any]
    labels: tuple[str, ...]
    clip_spec: ClipSpec
    clip_spec_hash: str
    weights_hash: str
    decisions: DecisionDefaults
    activation: Activation = Activation.SOFTMAX
    golden: tuple[float, ...]
    provenance: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels {list(self.labels)} are empty or not distinct")
        background = self.decisions.background_label
        if background is not None and background not in self.labels:
            raise ValueError(f"background_label {background!r} is not one of the labels")
        for label in self.decisions.labels:
            if label not in self.labels:
                raise ValueError(f"decisions for {label!r}, which is not one of the labels")
        _check_clip(self.clip_spec)
        for name, value in self.arguments.items():
            most = _MAX_FACTOR if isinstance(value, float) else _MAX_ARGUMENT
            if isinstance(value, int | float) and not abs(value) <= most:
                raise ValueError(f"arguments.{name} is beyond {most}")

    def to_metadata(self) -> dict[str, str]:
        """The document as safetensors metadata."""
        return {METADATA_KEY: msgspec.json.encode(self).decode()}


def _check_clip(spec: ClipSpec) -> None:
    """Refuse numbers that would take all memory or time, or divide by zero when serving."""
    if not _FPS[0] <= spec.trained_fps <= _FPS[1]:
        raise ValueError(f"trained_fps is not from {_FPS[0]} to {_FPS[1]}")
    if spec.num_frames * spec.short_side**2 > _MAX_CLIP_PIXELS:
        raise ValueError(f"clips of more than {_MAX_CLIP_PIXELS} pixels")
    if spec.span_s > _MAX_SPAN_S:
        raise ValueError(f"clips longer than {_MAX_SPAN_S} s")


def one_line(error: Exception) -> str:
    """What another library says, or what quotes a file, fit for a message."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MESSAGE_LENGTH else f"{text[:_MESSAGE_LENGTH]}..."


class _AnyVersion(msgspec.Struct):
    format_version: int


def read_manifest(path: Path) -> Manifest:
    """Read a model file's document; the weights stay unread.

    Raises:
        ModelError: the file is missing, cut short, a pickle, not safetensors, or its document is
            absent, of another format version, invalid, or its clip spec was changed.
    """
    document = _metadata(path).get(METADATA_KEY)
    if not isinstance(document, str):
        raise ModelError(
            f"{path} holds weights but no streamcls document, so its labels and clips are unknown;"
            " write it with `streamcls finetune`"
        )
    try:
        version = msgspec.json.decode(document, type=_AnyVersion).format_version
        if version != FORMAT_VERSION:
            raise ModelError(
                f"{path} has format version {version} and this streamcls reads {FORMAT_VERSION};"
                " use the streamcls that wrote it"
            )
        manifest = msgspec.json.decode(document, type=Manifest)
        clip_spec_hash = manifest.clip_spec.hash()
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise ModelError(f"{path} has an invalid document: {one_line(error)}") from None
    if clip_spec_hash != manifest.clip_spec_hash:
        raise ModelError(
            f"{path} was changed after it was written: its clip spec does not match its hash;"
            " take a fresh copy"
        )
    return manifest


def _metadata(path: Path) -> dict[str, Any]:
    """The metadata of a safetensors file whose length fits its header."""
    try:
        if path.is_dir():
            raise ModelError(f"{path} is a directory; name a .safetensors model file")
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            if start.startswith(_PICKLE_STARTS):
                raise ModelError(
                    f"{path} is a pickle, which can run any code and is never loaded; convert"
                    " its weights once with `streamcls models import`"
                )
            header_bytes = int.from_bytes(start, "little")
            if len(start) < 8 or not 2 <= header_bytes <= _MAX_HEADER_BYTES:
                raise ModelError(f"{path} is not a safetensors file; name a streamcls model file")
            header = file.read(header_bytes)
    except FileNotFoundError:
        raise ModelError(f"{path} does not exist; check the model's path") from None
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
    if not header.startswith(b"{"):
        raise ModelError(f"{path} is not a safetensors file; name a streamcls model file")
    if len(header) < header_bytes:
        raise ModelError(f"{path} is cut short inside its header; copy it again")
    return _parse_header(path, header, data_bytes=size - 8 - header_bytes)


def _parse_header(path: Path, header: bytes, *, data_bytes: int) -> dict[str, Any]:
    try:
        entries: dict[str, Any] = json.loads(header)
        metadata: dict[str, Any] = dict(entries.pop("__metadata__", {}))
        expected = max((int(entry["data_offsets"][1]) for entry in entries.values()), default=0)
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError):
        raise ModelError(f"{path} is not a safetensors file: its header is damaged") from None
    if data_bytes != expected:
        problem = "is cut short" if data_bytes < expected else "has bytes after its end"
        raise ModelError(
            f"{path} {problem}: {data_bytes} bytes of weights instead of {expected}; copy it again"
        )
    return metadata
