"""Probabilities are made honest, and nothing else is changed."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from streamcls.finetune.calibration import (
    expected_calibration_error,
    fit_temperature,
    fold_temperature,
    reliability,
)
from streamcls.models.manifest import Activation
from streamcls.models.zoo import ZOO, build_network, forward_clips

BOTH = [Activation.SOFTMAX, Activation.SIGMOID]


def honest(activation: Activation, seed: int, clips: int = 4000) -> tuple[Tensor, Tensor]:
    """Logits, and targets drawn with just the probabilities that they claim."""
    chance = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(clips, 4, generator=chance)
    if activation is Activation.SIGMOID:
        return logits, torch.bernoulli(logits.sigmoid(), generator=chance)
    drawn = torch.multinomial(logits.softmax(1), 1, generator=chance).squeeze(1)
    return logits, nn.functional.one_hot(drawn, 4).float()


@pytest.mark.parametrize("activation", BOTH)
@given(st.floats(0.4, 8), st.integers(0, 5))
@settings(max_examples=15, deadline=None)
def test_the_factor_that_made_logits_too_sure_is_found(
    activation: Activation, factor: float, seed: int
) -> None:
    logits, targets = honest(activation, seed)
    found = fit_temperature(logits * factor, targets, activation)
    assert found == pytest.approx(factor, rel=0.1)
    before = expected_calibration_error(reliability(logits * factor, targets, activation))
    after = expected_calibration_error(reliability(logits * factor / found, targets, activation))
    assert after <= before + 0.02
    assert after < 0.04


def test_where_all_is_right_it_ends_at_its_bound() -> None:
    targets = torch.eye(3).repeat(5, 1)
    assert fit_temperature(targets * 5, targets, Activation.SOFTMAX) == pytest.approx(0.25)


def test_clips_that_were_not_scored_do_not_count() -> None:
    logits, targets = honest(Activation.SOFTMAX, 1)
    gone = torch.full((50, 4), torch.nan)
    with_gone = fit_temperature(
        torch.cat([gone, logits]), torch.cat([targets[:50], targets]), Activation.SOFTMAX
    )
    assert with_gone == fit_temperature(logits, targets, Activation.SOFTMAX)
    assert fit_temperature(gone, targets[:50], Activation.SOFTMAX) == 1


def test_bins_tell_confidence_accuracy_and_count() -> None:
    logits = torch.tensor([[0.0, 4.0], [0.0, 4.0], [0.1, 0.0]])
    targets = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    (both,) = reliability(logits, targets, Activation.SOFTMAX, bins=2)
    assert both.accuracy == pytest.approx(2 / 3)
    assert both.count == 3
    parts = reliability(logits, targets, Activation.SOFTMAX, bins=10)
    assert [(part.accuracy, part.count) for part in parts] == [(1, 1), (0.5, 2)]


@pytest.mark.parametrize("name", ["motion_net", "x3d_xs"])
def test_a_temperature_in_the_head_divides_the_logits(name: str) -> None:
    spec = ZOO[name].clip_spec
    network = build_network(name, num_classes=3).eval()
    clips = torch.randn(2, 3, spec.num_frames, spec.crop, spec.crop)
    with torch.inference_mode():
        before = forward_clips(network, [clips])
        head = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        fold_temperature(head, 2.5)
        torch.testing.assert_close(forward_clips(network, [clips]), before / 2.5)
