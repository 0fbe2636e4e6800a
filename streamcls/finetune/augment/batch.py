"""Changes of whole training batches on the device, before they are normalised."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Beta

from streamcls.errors import DataError, MissingExtra

_RAND_AUGMENT_STRENGTH = 0.3  # of each operation's whole range; the paper's 9 of 30


class BatchAugment:
    """Colour jitter and RandAugment through kornia, then mixup or cutmix; torch's random state.

    Args:
        colour_jitter: strength of random brightness, contrast, saturation and hue, 0 to 1.
        frames_alike: one draw of colours for all frames of a clip, or one for each frame.
        rand_augment: how many operations are drawn for each clip (arXiv 1909.13719), all frames
            alike.
        mixup, cutmix: alpha of the Beta distribution of the share that is mixed in
            (arXiv 1710.09412) or pasted over (arXiv 1905.04899); 0 for none. With both, a batch
            takes one or the other.
        on_device: a change of one's own, first of all.

    Raises:
        MissingExtra: kornia is needed and not installed.
    """

    def __init__(
        self,
        *,
        colour_jitter: float = 0.0,
        frames_alike: bool = True,
        rand_augment: int = 0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        on_device: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self._colours = _colours(colour_jitter, frames_alike) if colour_jitter else None
        self._operations = _operations(rand_augment) if rand_augment else None
        mixers = [(mix_up, mixup), (cut_mix, cutmix)]
        self._mixers = [(mixer, alpha) for mixer, alpha in mixers if alpha]
        self._on_device = on_device

    def __call__(self, clips: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Changed clips and their targets.

        Args:
            clips: float32 (batch, 3, time, height, width), 0 to 1.
            targets: float32 (batch, classes).
        """
        shape = clips.shape
        if self._on_device is not None:
            clips = self._on_device(clips)
            if clips.shape != shape:
                raise DataError(
                    f"on_device gave shape {tuple(clips.shape)} for {tuple(shape)}; it must keep it"
                )
        if self._colours is not None:
            clips = self._colours(clips)
        if self._operations is not None:
            # One by one, so that each clip draws operations of its own.
            clips = torch.cat([self._operations(clip) for clip in torch.split(clips, 1)])
        if self._mixers:
            mixer, alpha = self._mixers[int(torch.randint(len(self._mixers), ()))]
            share = float(Beta(alpha, alpha).sample())
            return mixer(clips, targets, share, torch.randperm(len(clips), device=clips.device))
        return clips, targets


def mix_up(clips: Tensor, targets: Tensor, share: float, partners: Tensor) -> tuple[Tensor, Tensor]:
    """Each clip and target, faded with its partner's: `share` of its own."""
    mixed = share * clips + (1 - share) * clips[partners]
    return mixed, share * targets + (1 - share) * targets[partners]


def cut_mix(
    clips: Tensor, targets: Tensor, share: float, partners: Tensor
) -> tuple[Tensor, Tensor]:
    """Each clip with a box of its partner's pasted over all frames; targets by the areas.

    The box has 1 - `share` of the area, less what lies outside the picture.
    """
    height, width = clips.shape[-2:]
    side = (1 - share) ** 0.5
    middle_y, middle_x = int(torch.randint(height, ())), int(torch.randint(width, ()))
    half_y, half_x = round(side * height / 2), round(side * width / 2)
    top, bottom = max(0, middle_y - half_y), min(height, middle_y + half_y)
    left, right = max(0, middle_x - half_x), min(width, middle_x + half_x)
    mixed = clips.clone()
    mixed[..., top:bottom, left:right] = clips[partners][..., top:bottom, left:right]
    own = 1 - (bottom - top) * (right - left) / (height * width)
    return mixed, own * targets + (1 - own) * targets[partners]


def _colours(strength: float, frames_alike: bool) -> Any:
    kornia = _kornia()
    # Hue turns the whole circle at 0.5; a quarter of the others' strength is as visible.
    jiggle = kornia.ColorJiggle(strength, strength, strength, min(0.5, strength / 4), p=1.0)
    return kornia.VideoSequential(jiggle, data_format="BCTHW", same_on_frame=frames_alike)


def _operations(count: int) -> Any:
    """Kornia's operations, of which so many are drawn at each call."""
    kornia, m = _kornia(), _RAND_AUGMENT_STRENGTH
    around_one = (1 - m, 1 + m)
    operations = [
        kornia.RandomBrightness(around_one, p=1.0),
        kornia.RandomContrast(around_one, p=1.0),
        kornia.RandomSaturation(around_one, p=1.0),
        kornia.RandomSharpness(2 * m, p=1.0),
        kornia.RandomEqualize(p=1.0),
        kornia.RandomPosterize((round(8 - 4 * m), 8), p=1.0),
        kornia.RandomSolarize(m / 2, m / 2, p=1.0),
        kornia.RandomAffine(30 * m, p=1.0),
        kornia.RandomAffine(0.0, translate=(0.45 * m, 0.45 * m), p=1.0),
        kornia.RandomAffine(0.0, shear=(-17 * m, 17 * m, -17 * m, 17 * m), p=1.0),
    ]
    return kornia.VideoSequential(
        *operations, data_format="BCTHW", same_on_frame=True, random_apply=min(count, 10)
    )


def _kornia() -> Any:
    try:
        import kornia.augmentation  # noqa: PLC0415 (an extra)
    except ImportError:
        raise MissingExtra("Augmenting colours and RandAugment", "finetune") from None
    return kornia.augmentation
