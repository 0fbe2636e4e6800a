"""ClipSpec: exact intervals, a canonical hash, and refusals that name the number."""

from fractions import Fraction
from typing import Any

import msgspec
import pytest

from streamcls.errors import ModelError
from streamcls.transforms import ClipSpec

X3D_S: dict[str, Any] = {
    "num_frames": 13,
    "sampling_rate": 6,
    "trained_fps": 30,
    "short_side": 182,
    "crop": 182,
}


def test_the_frame_interval_is_exact() -> None:
    assert ClipSpec(**X3D_S).frame_interval_s == Fraction(1, 5)
    assert ClipSpec(**X3D_S).span_s == Fraction(12, 5)
    ntsc = ClipSpec(**{**X3D_S, "trained_fps": 29.97})
    assert ntsc.frame_interval_s == 6 * Fraction(1001, 30000)


def test_the_hash_depends_on_the_values_and_on_nothing_else() -> None:
    spec = ClipSpec(**X3D_S)
    reread = ClipSpec.from_builtins(msgspec.json.decode(spec.canonical_json()))
    assert reread == spec
    assert reread.hash() == spec.hash()
    assert ClipSpec(**{**X3D_S, "trained_fps": 30.0}).hash() == spec.hash()
    assert ClipSpec(**{**X3D_S, "sampling_rate": 5}).hash() != spec.hash()


def test_files_keep_the_filter_they_were_written_with() -> None:
    old = ClipSpec.from_builtins({**X3D_S, "pixels": {"filter": "area"}})
    assert old.pixels.filter == "area"
    assert old.hash() != ClipSpec(**X3D_S).hash()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"num_frames": 0}, "num_frames"),
        ({"num_frames": 1}, "at least 2"),
        ({"sampling_rate": -1}, "sampling_rate"),
        ({"trained_fps": 0}, "trained_fps"),
        ({"crop": 183}, "larger than short_side"),
        ({"std": (0.2, 0.0, 0.2)}, "std"),
        ({"pathways": (4, 1)}, "do not divide"),
        ({"pathways": ()}, "pathways"),
        ({"pixels": {"filter": "bicubic"}}, "pixel recipe"),
        ({"colour": "red"}, "unknown field"),
    ],
)
def test_a_spec_out_of_range_is_refused_by_name(change: dict[str, Any], word: str) -> None:
    with pytest.raises(ModelError, match=word):
        ClipSpec.from_builtins({**X3D_S, **change})
