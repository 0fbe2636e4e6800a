"""How to train."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import msgspec
from torch import Tensor, nn
from torch.optim import Optimizer

from streamcls.errors import DataError
from streamcls.finetune.data.balance import Balance
from streamcls.transforms.spec import ClipSpec

_MOST_SECONDS = 3600.0


class Strategy(StrEnum):
    """Which weights learn when. The new head always does."""

    NO_FREEZE = "no_freeze"
    """All of them, from the start."""
    FREEZE = "freeze"
    """The head alone: quick, and hard to overfit."""
    FREEZE_UNFREEZE = "freeze_unfreeze"
    """The head alone until `unfreeze_epoch`, then all of them."""
    UNFREEZE_MILESTONES = "unfreeze_milestones"
    """The head alone; from the first milestone the last `unfreeze_layers` layers too, from the
    second all of them."""


class Precision(StrEnum):
    """What the network computes in; weights stay float32."""

    FP32 = "32"
    BF16 = "bf16"
    FP16 = "fp16"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How to train.

    Attributes:
        lr: the learning rate's peak; it rises to it for `warm_up`, a share of all steps, and falls
            to almost nothing along a cosine.
        find_lr: try rates first and take what Lightning's finder suggests, in place of `lr`.
        unfreeze_epoch, milestones, unfreeze_layers: as the strategy says; epochs count from 0.
        keep_head: go on with the last layer that the weights to start from have, for more data of
            the same labels; else a fresh one takes its place.
        train_bn: frozen layers' batch normalisation goes on learning its statistics and weights.
        balance: what is done where some classes have more videos than others.
        clips: how training picks clips of a video: `random`, or `random_multi` for
            `clips_per_video` of them at each visit.
        clip_duration_s: spread a clip's frames over so many seconds, in place of what the network
            was published with; the model file says so, and the daemon does likewise.
        max_val_clips: most clips taken of one validation video, spread evenly.
        max_scale: greatest enlargement of a random crop, 1 or more. 1.25 is X3D's 182 to 228
            pixels (arXiv 2004.04730, section 4).
        flip: None for no mirror images, else the labels that they turn into each other
            (`{"pan_left": "pan_right"}`; one direction is enough; the others keep theirs).
        colour_jitter: strength of random brightness, contrast, saturation and hue, 0 to 1.
        jitter_frames_alike: one draw for all frames of a clip, or one for each.
        mixup, cutmix: alpha of their Beta distribution; 0 for none.
        rand_augment: how many of RandAugment's operations to apply to each clip.
        label_smoothing: share of each target that is spread over all classes.
        accumulate: batches to an optimiser step.
        clip_gradients: greatest norm of a step's gradient; 0 for no limit.
        patience: end when so many epochs in a row were no better; 0: never.
        ema: decay of the moving average of the weights, which is then what is judged and kept; 0
            for none. 0.999 suits some thousands of steps.
        fast_dev_run: one batch of training and of validation, to see that all is in place.
        workers: processes that read videos; 0 reads in this one.
        cache_gb: disk for decoded small frames, so that later epochs decode nothing; 0 for none.
        decode_audio: refused: the networks take pictures and the daemon decodes no sound, so what
            was learnt from sound could not be served.
        devices, nodes: GPUs (or, on the CPU, processes) of each machine, and machines.
    """

    epochs: int = 10
    batch_size: int = 8
    lr: float = 1e-3
    find_lr: bool = False
    weight_decay: float = 0.01
    warm_up: float = 0.1
    strategy: Strategy = Strategy.NO_FREEZE
    unfreeze_epoch: int = 5
    milestones: tuple[int, int] = (5, 10)
    unfreeze_layers: int = 15
    keep_head: bool = False
    train_bn: bool = False
    balance: Balance = Balance.NONE
    clips: str = "random"
    clips_per_video: int = 2
    clip_duration_s: float | None = None
    max_val_clips: int = 10
    max_scale: float = 1.25
    flip: Mapping[str, str] | None = None
    colour_jitter: float = 0.0
    jitter_frames_alike: bool = True
    mixup: float = 0.0
    cutmix: float = 0.0
    rand_augment: int = 0
    label_smoothing: float = 0.0
    precision: Precision = Precision.FP32
    accumulate: int = 1
    clip_gradients: float = 0.0
    patience: int = 0
    ema: float = 0.0
    fast_dev_run: bool = False
    seed: int = 0
    workers: int = 2
    cache_gb: float = 0.0
    decode_audio: bool = False
    devices: int = 1
    nodes: int = 1

    def __post_init__(self) -> None:
        for name in (
            *("epochs", "batch_size", "lr", "max_val_clips", "clips_per_video", "accumulate"),
            *("devices", "nodes", "unfreeze_layers"),
        ):
            if not getattr(self, name) > 0:
                raise DataError(f"{name} is {getattr(self, name)}; it must be above 0")
        for name in (
            *("weight_decay", "unfreeze_epoch", "colour_jitter", "mixup", "cutmix"),
            *("rand_augment", "clip_gradients", "patience", "workers", "cache_gb"),
        ):
            if not getattr(self, name) >= 0:
                raise DataError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("warm_up", "label_smoothing", "ema"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(f"{name} is {getattr(self, name)}; use 0 or more, below 1")
        self._check_choices()

    def _check_choices(self) -> None:
        if self.clip_duration_s is not None and not 0 < self.clip_duration_s <= _MOST_SECONDS:
            raise DataError(f"clip_duration_s is {self.clip_duration_s}; use seconds above 0")
        if self.decode_audio:
            raise DataError(
                "decode_audio is not to be had: the networks take pictures and the daemon decodes"
                " no sound, so what was learnt from sound could not be served"
            )
        if self.milestones[0] > self.milestones[1]:
            raise DataError(f"milestones are {self.milestones}; the first comes before the second")
        if self.clips not in ("random", "random_multi"):
            raise DataError(f"clips is {self.clips!r}; use random or random_multi")

    def clip_spec(self, published: ClipSpec) -> ClipSpec:
        """What clips of a network are to be, given what it was published with."""
        if self.clip_duration_s is None:
            return published
        # As pytorchvideo counts a clip: the last frame shows as long as the others.
        rate = round(published.num_frames / self.clip_duration_s, 3)
        return msgspec.structs.replace(published, sampling_rate=1, trained_fps=rate)

    def document(self) -> dict[str, Any]:
        """As JSON takes it."""
        document: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(self))
        return document


@dataclass(frozen=True, slots=True, kw_only=True)
class Custom:
    """What a program puts in the place of our own parts; None keeps ours.

    Attributes:
        head: makes the new last layer, given the old one and the number of classes. The model file
            holds it only where the network's builder makes the like: else register a network.
        loss: of logits (batch, classes) and targets of the same shape, each 0 to 1; a scalar.
        optimizer: given the weights that learn and the learning rate.
        schedule: given the optimiser and the number of steps; stepped after each.
        metrics: torchmetrics by name, of probabilities (clips, classes) and, for single-label
            data, class indices (clips,), else targets (clips, classes); measured on validation.
        after_decoding: on each training clip before the crop, in the process that decodes: uint8
            (time, height, width, 3) to the like.
        on_device: on each training batch before it is normalised: float32 (batch, 3, time, height,
            width), 0 to 1, to the like.
    """

    head: Callable[[nn.Linear, int], nn.Module] | None = None
    loss: Callable[[Tensor, Tensor], Tensor] | None = None
    optimizer: Callable[[Iterable[nn.Parameter], float], Optimizer] | None = None
    schedule: Callable[[Optimizer, int], Any] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    after_decoding: Callable[[Tensor], Tensor] | None = None
    on_device: Callable[[Tensor], Tensor] | None = None
