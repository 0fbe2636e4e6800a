"""Inductor compiles a network once, with its weights, and scores as eager torch does."""

from pathlib import Path

import numpy as np
import pytest

from streamcls.config import BackendName
from streamcls.errors import ModelError
from streamcls.models.backends import TorchBackend, choose
from streamcls.models.backends import inductor as module
from streamcls.models.backends.cache import NetworkCache
from streamcls.models.backends.inductor import inductor_backend
from streamcls.models.backends.trial import trial_clips
from streamcls.models.bundle import load_bundle
from tests.models.small import SPEC, write_small


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_it_scores_as_torch_does_and_compiles_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small(tmp_path / "small.safetensors")
    model, cache = load_bundle(tmp_path / "small.safetensors"), NetworkCache(tmp_path / "cache")
    first = choose(model, BackendName.INDUCTOR, cache=cache).backend
    exact = TorchBackend(model).scores(trial_clips(SPEC))
    assert first.name == "inductor"
    np.testing.assert_allclose(first.scores(trial_clips(SPEC)), exact, atol=1e-5)
    monkeypatch.delattr(module, "_compile")
    again = inductor_backend(model, cache)
    np.testing.assert_array_equal(again.scores(trial_clips(SPEC)), first.scores(trial_clips(SPEC)))


def test_without_a_compiler_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_small(tmp_path / "small.safetensors")
    model = load_bundle(tmp_path / "small.safetensors")

    def compile_nothing(*_: object, **__: object) -> None:
        raise RuntimeError("no working C++ compiler found")

    monkeypatch.setattr("torch._inductor.aoti_compile_and_package", compile_nothing)
    with pytest.raises(ModelError, match=r"cannot be converted for inductor: .* C\+\+ compiler"):
        choose(model, BackendName.INDUCTOR, cache=NetworkCache(tmp_path / "cache"))
