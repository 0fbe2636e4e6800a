"""Batches are changed in range and shape, their targets with them, by torch's chance alone."""

import pickle
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamcls.errors import DataError, MissingExtra
from streamcls.finetune.augment.batch import BatchAugment, cut_mix, mix_up

CLIPS = torch.rand(3, 3, 4, 24, 20, generator=torch.Generator().manual_seed(0))
STILL = CLIPS[:, :, :1].expand(-1, -1, 4, -1, -1).contiguous()
TARGETS = torch.eye(3)


@pytest.mark.parametrize("seed", range(8))
def test_colours_and_operations_keep_shape_range_and_targets(seed: int) -> None:
    change = pickle.loads(pickle.dumps(BatchAugment(colour_jitter=0.4, rand_augment=2)))
    torch.manual_seed(seed)
    clips, targets = change(CLIPS, TARGETS)
    assert clips.shape == CLIPS.shape
    assert clips.dtype == torch.float32
    assert clips.min() >= 0
    assert clips.max() <= 1
    assert targets is TARGETS
    torch.manual_seed(seed)
    assert torch.equal(change(CLIPS, TARGETS)[0], clips)


def test_frames_change_alike_unless_asked_otherwise() -> None:
    alike, _ = BatchAugment(colour_jitter=0.4, rand_augment=3)(STILL, TARGETS)
    assert torch.allclose(alike[:, :, 0], alike[:, :, 3], atol=1e-5)
    assert not torch.allclose(alike, STILL, atol=0.01)
    apart, _ = BatchAugment(colour_jitter=0.4, frames_alike=False)(STILL, TARGETS)
    assert not torch.allclose(apart[:, :, 0], apart[:, :, 3], atol=0.01)


@given(st.floats(0, 1), st.permutations(range(3)))
@settings(max_examples=25)
def test_mixed_targets_say_what_the_clips_show(share: float, partners: list[int]) -> None:
    order = torch.tensor(partners)
    plain = torch.arange(3.0).view(3, 1, 1, 1, 1).expand(3, 3, 4, 24, 20)
    for mixer in (mix_up, cut_mix):
        clips, targets = mixer(plain, TARGETS, share, order)
        assert torch.allclose(targets.sum(dim=1), torch.ones(3))
        # A clip's mean is its own level times its share of it, and its partner's likewise.
        expected = targets @ torch.arange(3.0)
        assert torch.allclose(clips.mean(dim=(1, 2, 3, 4)), expected, atol=1e-4)


def test_one_or_the_other_mixes_a_batch() -> None:
    torch.manual_seed(0)
    change = BatchAugment(mixup=1.0, cutmix=1.0)
    mixed = [change(CLIPS, TARGETS) for _ in range(20)]
    assert any((targets != TARGETS).any() for _, targets in mixed)
    assert all(torch.allclose(targets.sum(dim=1), torch.ones(3)) for _, targets in mixed)


def test_a_change_of_ones_own_must_keep_the_shape() -> None:
    dark, _ = BatchAugment(on_device=lambda clips: clips / 2)(CLIPS, TARGETS)
    assert torch.equal(dark, CLIPS / 2)
    with pytest.raises(DataError, match="on_device gave shape"):
        BatchAugment(on_device=lambda clips: clips[..., 1:])(CLIPS, TARGETS)


def test_without_kornia_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    monkeypatch.setitem(sys.modules, "kornia.augmentation", None)
    with pytest.raises(MissingExtra, match=r"streamcls\[finetune\]"):
        BatchAugment(colour_jitter=0.1)
    BatchAugment(mixup=0.2)
