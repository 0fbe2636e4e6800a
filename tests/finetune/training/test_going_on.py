"""A run that is killed and resumed comes to what it would have come to; two processes share one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamcls.models.bundle import load_bundle
from tests.finetune.ramps import write_ramps
from tests.models.small import write_small

_SETTINGS = [
    *("--epochs", "5", "--batch-size", "4", "--lr", "0.01", "--workers", "1"),
    *("--set", "ema=0.9", "--set", "colour_jitter=0.2", "--set", "mixup=0.2"),
]
_PATIENCE_S = 100.0


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    write_ramps(folder / "data")
    write_small(folder / "base.safetensors")
    return folder


def start(home: Path, out: str, *more: str, by: list[str] | None = None) -> subprocess.Popen[str]:
    launcher = by or [sys.executable, "-m"]
    arguments = ["finetune", "data", "--model", "base.safetensors", "--out", out, *more]
    return subprocess.Popen(
        [*launcher, "streamcls", *arguments],
        cwd=home,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Workers share the group, so that a kill takes all.
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate(timeout=_PATIENCE_S)
    assert process.returncode == 0, output
    return output


def kill_after_an_epoch(process: subprocess.Popen[str], checkpoint: Path) -> None:
    """Kill it as power fails, somewhere behind the next checkpoint."""
    before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
    end_s = time.monotonic() + _PATIENCE_S
    while not checkpoint.exists() or checkpoint.stat().st_mtime_ns == before:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < end_s
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_killed_and_resumed_has_the_weights_of_one_that_was_not(
    home: Path, kills: int
) -> None:
    whole, parts = f"whole{kills}.safetensors", f"parts{kills}.safetensors"
    finish(start(home, whole, *_SETTINGS))
    folder = home / f"parts{kills}.run"
    for _ in range(kills):
        killed = start(home, parts, *_SETTINGS, "--resume")
        kill_after_an_epoch(killed, folder / "last.ckpt")
    finish(start(home, parts, *_SETTINGS, "--resume"))
    one, other = (load_bundle(home / name).manifest for name in (whole, parts))
    print(f"after {kills} kill(s): {one.provenance['metrics']} and {other.provenance['metrics']}")
    assert one.weights_hash == other.weights_hash
    assert one.provenance["metrics"] == other.provenance["metrics"]
    assert not (folder / "last.ckpt").exists()


@pytest.mark.timeout(300)
def test_two_processes_train_one_model(home: Path) -> None:
    settings = ["--epochs", "2", "--batch-size", "4", "--workers", "0", "--set", "devices=2"]
    settings += ["--strategy", "freeze_unfreeze", "--set", "unfreeze_epoch=1"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "-m"]
    output = finish(start(home, "pair.safetensors", *settings, by=torchrun))
    assert output.count("wrote pair.safetensors") == 1
    assert load_bundle(home / "pair.safetensors").labels == ("fall", "rise")
