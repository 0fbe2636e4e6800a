"""The clip half gives what pytorchvideo's recipe gives, written out here in plain numpy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from streamcls.frames import ClipArray
from streamcls.models.zoo import ZOO
from streamcls.transforms import ClipSpec
from streamcls.transforms.clip import clip_batch, pathways

CPU = torch.device("cpu")
SPEC = ClipSpec(
    num_frames=8,
    sampling_rate=2,
    trained_fps=30,
    short_side=20,
    crop=16,
    mean=(0.4, 0.45, 0.5),
    std=(0.2, 0.225, 0.25),
    pathways=(4, 1),
)


def random_clip(height: int, width: int, frames: int = 8, seed: int = 0) -> ClipArray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (frames, height, width, 3), np.uint8)


@given(st.integers(20, 45), st.booleans())
def test_a_clip_is_cropped_scaled_and_normalised_as_numpy_would(long: int, tall: bool) -> None:
    height, width = (long, 20) if tall else (20, long)
    clip = random_clip(height, width)
    top, left = (height - 16) // 2, (width - 16) // 2
    crop = clip[:, top : top + 16, left : left + 16].astype(np.float64) / 255
    wanted = ((crop - np.array(SPEC.mean)) / np.array(SPEC.std)).transpose(3, 0, 1, 2)
    batch = clip_batch([clip], SPEC, CPU)
    assert batch.dtype == torch.float32
    np.testing.assert_allclose(batch[0].numpy(), wanted, atol=1e-5)


def test_clips_of_several_widths_share_a_batch_and_change_nothing_in_each_other() -> None:
    clips = [random_clip(20, width, seed=width) for width in (20, 27, 40)]
    batch = clip_batch(clips, SPEC, CPU)
    assert batch.shape == (3, 3, 8, 16, 16)
    for index, clip in enumerate(clips):
        assert torch.equal(batch[index], clip_batch([clip], SPEC, CPU)[0])


def test_pictures_one_by_one_make_the_batch_that_their_array_makes() -> None:
    clip = random_clip(20, 31)
    separate = tuple(np.ascontiguousarray(picture) for picture in clip)
    assert torch.equal(clip_batch([separate], SPEC, CPU), clip_batch([clip], SPEC, CPU))


def test_the_axes_are_channel_time_height_width() -> None:
    clip = np.zeros((8, 16, 16, 3), np.uint8)
    clip[5, 2, 9, 1] = 255
    plain = ClipSpec(8, 2, 30, 16, 16, mean=(0, 0, 0), std=(1, 1, 1))
    assert torch.nonzero(clip_batch([clip], plain, CPU)).tolist() == [[0, 1, 5, 2, 9]]


@pytest.mark.parametrize("shape", [(7, 20, 30), (8, 15, 30), (8, 30, 15)])
def test_a_clip_that_does_not_fit_the_spec_is_refused(shape: tuple[int, int, int]) -> None:
    frames, height, width = shape
    with pytest.raises(ValueError, match="does not fit 8 frames with a crop of 16"):
        clip_batch([random_clip(height, width, frames)], SPEC, CPU)


def test_a_single_pathway_is_the_batch_itself() -> None:
    batch = torch.randn(2, 3, 4, 8, 8)
    (only,) = pathways(batch, ZOO["x3d_xs"].clip_spec)
    assert only is batch


@pytest.mark.parametrize(("frames", "stride"), [(8, 4), (32, 4), (32, 8), (16, 2)])
def test_a_slow_pathway_is_pytorchvideos_pack_pathway(frames: int, stride: int) -> None:
    spec = ClipSpec(frames, 2, 30, 16, 16, pathways=(stride, 1))
    batch = torch.arange(frames, dtype=torch.float32).reshape(1, 1, frames, 1, 1)
    slow, fast = pathways(batch, spec)
    assert fast is batch
    # PackPathway of pytorch.org/hub/facebookresearch_pytorchvideo_slowfast.
    wanted = torch.linspace(0, frames - 1, frames // stride).long()
    assert slow.flatten().long().tolist() == wanted.tolist()


@pytest.mark.gpu
def test_a_gpu_normalises_as_the_cpu_does() -> None:
    clips = [random_clip(20, width, seed=width) for width in (20, 33)]
    for cpu, gpu in zip(
        pathways(clip_batch(clips, SPEC, CPU), SPEC),
        pathways(clip_batch(clips, SPEC, torch.device("cuda")), SPEC),
        strict=True,
    ):
        torch.testing.assert_close(gpu.cpu(), cpu, atol=1e-6, rtol=0)
