"""Model files as a failing disk or a hostile hand leaves them: loaded as written, or refused."""

import json
import struct
from pathlib import Path

import pytest

from streamcls.errors import ModelError
from streamcls.models.bundle import load_bundle
from tests.fuzz.conftest import Cases
from tests.fuzz.limits import memory_limit
from tests.fuzz.mutate import damaged, mutated
from tests.models.small import write_small


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    write_small(path)
    return path.read_bytes()


def refused(path: Path) -> str:
    """Why a file is refused; empty where it is loaded."""
    try:
        load_bundle(path)
    except ModelError as error:
        text = str(error)
    else:
        text = ""
    assert "\n" not in text
    return text


def test_a_damaged_file_is_refused(cases: Cases, model: bytes, tmp_path: Path) -> None:
    path = tmp_path / "damaged.safetensors"
    with memory_limit(500):
        for case in cases(60):
            content = damaged(model, case.chance)
            path.write_bytes(content)
            with case.trying(path, limit_s=30):
                assert refused(path) or content == model or _same_numbers(content, model)


def _same_numbers(content: bytes, model: bytes) -> bool:
    """Whether the damage is in what nothing depends on: a date or a version of the provenance."""
    header = 8 + struct.unpack("<Q", model[:8])[0]
    return content[header:] == model[header:]


def test_hostile_metadata_is_refused_without_taking_memory_for_it(
    cases: Cases, model: bytes, tmp_path: Path
) -> None:
    length = struct.unpack("<Q", model[:8])[0]
    header, weights = json.loads(model[8 : 8 + length]), model[8 + length :]
    key, document = next(iter(header["__metadata__"].items()))
    path = tmp_path / "hostile.safetensors"
    with memory_limit(1500):
        for case in cases(60):
            changed = mutated(document.encode(), case.chance).decode("utf-8", "replace")
            metadata = header["__metadata__"] | {key: changed}
            text = json.dumps(header | {"__metadata__": metadata}).encode()
            path.write_bytes(struct.pack("<Q", len(text)) + text + weights)
            with case.trying(changed, limit_s=30):
                refused(path)


def test_a_header_that_claims_any_length_is_refused(
    cases: Cases, model: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "long.safetensors"
    with memory_limit(300):
        for case in cases(40):
            claimed = case.chance.choice([0, 1, 2**31, 2**40, 2**63 - 1, 2**64 - 1])
            path.write_bytes(struct.pack("<Q", claimed) + model[8 : 8 + case.chance.randrange(999)])
            with case.trying(claimed, limit_s=10):
                assert refused(path)
