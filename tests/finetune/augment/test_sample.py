"""A clip is changed as a whole, and a mirrored one takes its mirror label."""

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from streamcls.errors import DataError
from streamcls.finetune.augment.sample import SampleAugment, mirrored_labels
from streamcls.transforms import ClipSpec

SPEC = ClipSpec(num_frames=4, sampling_rate=3, trained_fps=30, short_side=36, crop=32)
LABELS = ("fall", "rise")
RISE = torch.tensor([0.0, 1.0])


def test_augmented_clips_are_one_square_of_the_crop_in_the_same_order() -> None:
    levels = (np.arange(4, dtype=np.uint8) * 50)[:, None, None, None]
    clip = np.zeros((4, 36, 50, 3), np.uint8) + levels
    augment = SampleAugment(SPEC, LABELS)
    for _ in range(20):
        changed, target = augment(clip, RISE)
        assert changed.shape == (4, 32, 32, 3)
        assert changed.dtype == np.uint8
        assert target is RISE
        np.testing.assert_array_equal(changed[:, 5, 5, 0], [0, 50, 100, 150])


def test_every_frame_is_cut_at_the_same_random_place() -> None:
    still = np.random.default_rng(0).integers(0, 256, (1, 36, 50, 3), np.uint8).repeat(4, axis=0)
    augment = SampleAugment(SPEC, LABELS)
    places = [augment(still, RISE)[0] for _ in range(5)]
    for changed in places:
        np.testing.assert_array_equal(changed[0], changed[3])
    assert any((places[0] != other).any() for other in places[1:])


def test_a_mirrored_clip_takes_its_mirror_label() -> None:
    labels = ["left", "right", "still"]
    clip = np.zeros((4, 32, 32, 3), np.uint8)
    clip[:, :, :8] = 200
    augment = SampleAugment(SPEC, labels, max_scale=1, flip={"left": "right"})
    torch.manual_seed(0)
    left, still = torch.eye(3)[0], torch.eye(3)[2]
    seen = {
        (bool(changed[0, 0, 0, 0]), int(target.argmax()))
        for changed, target in (augment(clip, left) for _ in range(20))
    }
    assert seen == {(True, 0), (False, 1)}
    assert {int(augment(clip, still)[1].argmax()) for _ in range(20)} == {2}


@pytest.mark.parametrize(
    ("flip", "said"),
    [
        ({"left": "up"}, "'up', which is no class; known: left, right, still"),
        ({"left": "right", "right": "still"}, "'right' two mirror images"),
    ],
)
def test_a_mirror_map_that_makes_no_sense_is_refused(flip: dict[str, str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        mirrored_labels(["left", "right", "still"], flip)


def test_a_change_of_ones_own_comes_first_and_must_keep_the_frames() -> None:
    clip = np.zeros((4, 36, 50, 3), np.uint8)
    augment = SampleAugment(SPEC, LABELS, after_decoding=lambda frames: frames + 7)
    assert (augment(clip, RISE)[0] == 7).all()
    wrong: list[Callable[[Tensor], Tensor]] = [
        lambda frames: frames[1:],
        lambda frames: frames[..., :1],
        lambda frames: frames[:, :31],
        lambda frames: frames.float(),
    ]
    for change in wrong:
        cut = SampleAugment(SPEC, LABELS, after_decoding=change)
        said = r"after_decoding gave .* it must give uint8 of 4 frames, .* no side below 32"
        with pytest.raises(DataError, match=said):
            cut(clip, RISE)


def test_chance_is_torchs_and_survives_pickling() -> None:
    clip = np.random.default_rng(0).integers(0, 256, (4, 36, 50, 3), np.uint8)
    augment = SampleAugment(SPEC, LABELS, flip={"fall": "rise"})
    twin = pickle.loads(pickle.dumps(augment))
    for seed in range(6):
        torch.manual_seed(seed)
        changed, target = augment(clip, RISE)
        torch.manual_seed(seed)
        again, same = twin(clip, RISE)
        np.testing.assert_array_equal(changed, again)
        assert torch.equal(target, same)
