"""Any file as a model: a bundle that scores its golden clip, or one line, and soon."""

import json
import random
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from streamcls.errors import ModelError
from streamcls.models.bundle import find_bundle, load_bundle
from streamcls.models.manifest import METADATA_KEY
from streamcls.transforms.spec import ClipSpec
from tests.fuzz.cases import told
from tests.fuzz.conftest import Cases
from tests.fuzz.limits import Worker, serve
from tests.fuzz.mutate import damaged, mutated
from tests.models.small import write_small

LIMIT_S = 10.0
_MEMORY_MB = 1500
_LENGTHS = (0, 1, 2, 7, 100_000_001, 2**31, 2**40, 2**63, 2**64 - 1)
_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        3,
        0.5,
        1e-300,
        1e300,
        2**31,
        2**40,
        2**63,
        10**400,
        -(2**63),
    ),
    *("", "x", "\0", "\n", "x3d_xs", "motion_net", [], [1], [[]], {}, {"a": 1}, [0] * 10_000),
    *([1, 1, 1], [1e300] * 3, ["rest"] * 3, "z" * 100_000),
)


class Parts:
    """A safetensors file taken apart, so that each piece can be spoilt and the rest be sound."""

    def __init__(self, data: bytes) -> None:
        (length,) = struct.unpack("<Q", data[:8])
        self.header: dict[str, Any] = json.loads(data[8 : 8 + length])
        self.document: dict[str, Any] = json.loads(self.header["__metadata__"][METADATA_KEY])
        self.weights = data[8 + length :]

    def whole(self) -> bytes:
        """The file again; its clip spec's hash is made to fit where it can be."""
        spec = self.document.get("clip_spec")
        with suppress(ValueError, ArithmeticError, TypeError):
            self.document["clip_spec_hash"] = msgspec.convert(spec, ClipSpec).hash()
        self.header["__metadata__"] = {METADATA_KEY: json.dumps(self.document)}
        return framed(json.dumps(self.header).encode(), self.weights)


def framed(header: bytes, weights: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header + weights


def flipped(data: bytes, chance: random.Random) -> bytes:
    """As a disk spoils it, the header as often as the weights."""
    start = chance.choice((0, 0, data.index(b"}}") + 2))
    return (
        damaged(data, chance, start=start) if start else damaged(data[:9000], chance) + data[9000:]
    )


def odd_header(data: bytes, chance: random.Random) -> bytes:
    (length,) = struct.unpack("<Q", data[:8])
    header, weights = data[8 : 8 + length], data[8 + length :]
    if chance.random() < 0.2:
        return framed(header, weights, chance.choice((*_LENGTHS, length + 1, length - 1)))
    return framed(mutated(header, chance), weights)


def odd_document(data: bytes, chance: random.Random) -> bytes:
    """One to three values of the document are others, of any kind and size."""
    parts = Parts(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        _set_one(parts.document, chance)
    return parts.whole()


def odd_text(data: bytes, chance: random.Random) -> bytes:
    """The document is other text, in a header that is sound."""
    parts = Parts(data)
    text = mutated(json.dumps(parts.document).encode(), chance).decode("utf-8", "replace")
    metadata: Any = {METADATA_KEY: chance.choice((text, text, text, 5, None, [], "\ud800"))}
    parts.header["__metadata__"] = chance.choice((metadata, metadata, metadata, 5, [], "x", None))
    return framed(json.dumps(parts.header).encode(), parts.weights)


def odd_tensors(data: bytes, chance: random.Random) -> bytes:
    """Other shapes, types and places of the tensors than their bytes have."""
    parts = Parts(data)
    names = [name for name in parts.header if name != "__metadata__"]
    for _ in range(chance.choice((1, 1, 3))):
        entry = parts.header[chance.choice(names)]
        key = chance.choice(("dtype", "shape", "data_offsets"))
        kinds = ["F64", "BF16", "I64", "BOOL", "F8_E4M3", "C64", "F4", "U16", "X", 5, None]
        sizes = [chance.choice(_LENGTHS), -1, chance.randint(0, 9000), "x", 1.5, None]
        entry[key] = chance.choice(kinds) if key == "dtype" else chance.sample(sizes, 2)
    if chance.random() < 0.3:
        first, second = chance.sample(names, 2)
        parts.header[first], parts.header[second] = parts.header[second], parts.header[first]
    return framed(json.dumps(parts.header).encode(), parts.weights)


WAYS: list[Callable[[bytes, random.Random], bytes]] = [
    *(flipped, odd_header, odd_document, odd_text, odd_tensors),
]


def _set_one(document: dict[str, Any], chance: random.Random) -> None:
    place = document
    while True:
        key = chance.choice([*place, "surprise"] if chance.random() < 0.1 else list(place) or ["a"])
        if isinstance(place.get(key), dict) and place[key] and chance.random() < 0.8:
            place = place[key]
            continue
        place[key] = chance.choice(_VALUES)
        return


def spoilt(sound: bytes, way: str, number: int) -> bytes:
    """The file of one case."""
    change = next(one for one in WAYS if one.__name__ == way)
    return change(sound, random.Random(f"{way} {number}"))


def load(path: Path) -> str:
    """Load a file as the daemon does; a word for what came of it."""
    try:
        load_bundle(path)
    except ModelError as error:
        message = told(error)
        assert len(message) < 5000, f"a message of {len(message)} characters: {message[:200]}"
        return "refused"
    return "loaded"


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker("tests.fuzz.test_bundles", limit_s=LIMIT_S) as worker:
        yield worker


@pytest.mark.parametrize("way", [way.__name__ for way in WAYS])
def test_a_spoilt_model_is_refused_on_one_line_in_little_time_and_memory(
    cases: Cases, way: str, worker: Worker, tmp_path: Path
) -> None:
    write_small(tmp_path / "sound.safetensors")
    findings, words = [], Counter[str]()
    for case in cases(60):
        outcome = worker.run(f"{way} {case.number} {tmp_path}")
        words[outcome.word] += 1
        if outcome.finding:
            findings.append(f"{case}: {outcome.finding}")
    print(way, dict(words))
    assert not findings, "\n".join([f"{len(findings)} findings", *findings[:20]])
    assert words["refused"] > 0


def _one(line: str) -> str:
    way, number, folder = line.split(maxsplit=2)
    path = Path(folder) / "spoilt.safetensors"
    path.write_bytes(spoilt((Path(folder) / "sound.safetensors").read_bytes(), way, int(number)))
    return load(path)


if __name__ == "__main__":
    load(find_bundle("camera-motion"))  # what is imported late, before memory is limited
    serve(_one, megabytes=_MEMORY_MB)
