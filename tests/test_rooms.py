"""The rooms: imports point down only, and heavy libraries are met only where they belong."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "streamcls"

# From the floor up; a room imports from its own floor or from below.
FLOORS: list[set[str]] = [
    {"errors", "clock", "urls", "endpoints", "threads"},
    {"config", "frames", "events"},
    {"protocol", "wire_schema", "keys", "transforms"},
    {"history"},
    {"models"},
    {"pipeline", "observe", "client"},
    {"engine", "delivery", "isolation", "probe", "finetune", "terminal", "bench", "doctor"},
    {"lane", "offline"},
    {"stream_line", "reload", "finetuning"},
    {"fleet"},
    {"reloader"},
    {"observer"},
    {"daemon"},
    {"demo"},
    {"cli", "cli_check", "cli_doctor", "cli_evaluate", "cli_finetune", "cli_keys", "cli_models"}
    | {"cli_bench", "cli_predict", "cli_watch"},
]
APART = [
    ("finetune", "pipeline"),
    ("pipeline", "models"),
    ("pipeline", "observe"),
    ("observe", "pipeline"),
    ("client", "pipeline"),
    ("client", "history"),
    ("stream_line", "finetune"),
    ("offline", "finetune"),
    ("bench", "pipeline"),  # it sees a daemon from outside alone
]
PARTS = {  # which no other stage sees
    "capture": {"opening", "priority", "source"},
    "sources": {"source"},
    "windows": {"pace", "ring", "selection", "still", "timeline"},
    "selection": {"pace"},
    "door": {"census"},
}

LIBRARIES = {
    "zmq": {"pipeline/publish", "pipeline/replay", "pipeline/door", "pipeline/census"}
    | {"client", "keys"},
    "sqlite3": {"history"},
    "prometheus_client": {"observe/metrics", "observe/samples"},
    "av": {"pipeline/sources", "probe", "finetune/clips", "finetune/camera_motion"}
    | {"offline/annotate", "bench/films", "bench/costs", "doctor/video"},
    "cv2": {"transforms/pixels", "pipeline/sources", "finetune", "offline/annotate", "bench/films"}
    | {"observe/page/pictures", "doctor/webcams"},
    "torch": {"transforms/clip", "models", "finetune", "doctor/network"},
    "openvino": {"models/backends/openvino"},
    "pytorchvideo": {"models/zoo", "models/torchvision_stub"},
    "torchvision": {"models/torchvision_stub"},
    "pytorch_lightning": {"finetune"},
    "kornia": {"finetune/augment"},
    "matplotlib": {"finetune/report", "bench/plot"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> list[str]:
    """Dotted names imported at run time, `if TYPE_CHECKING` left out."""
    names: list[str] = []

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text()))
    return names


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


def room(name: str) -> str:
    return name.split("/", maxsplit=1)[0]


@pytest.mark.parametrize("path", modules(), ids=place)
def test_imports_point_down(path: Path) -> None:
    here = room(place(path))
    if here in ("__init__", "__main__"):
        return
    floor = next(i for i, rooms in enumerate(FLOORS) if here in rooms)
    allowed = set().union(*FLOORS[: floor + 1])
    known = set().union(*FLOORS)
    for name in imports(path):
        parts = name.split(".")
        if parts[0] != "streamcls" or len(parts) < 2 or parts[1] not in known:
            continue
        assert parts[1] in allowed, f"{place(path)} imports {name}, which is above it"
        for one, other in APART:
            assert (here, parts[1]) != (one, other), f"{one} must not import {other}"
            if (one, other) == ("finetune", "pipeline"):
                assert (here, parts[1]) != (other, one), f"{other} must not import {one}"


def test_no_stage_imports_another() -> None:
    stages = PACKAGE / "pipeline"
    for path in sorted(stages.rglob("*.py")):
        stage = path.relative_to(stages).with_suffix("").parts[0]
        for name in imports(path):
            parts = name.split(".")
            if parts[:2] == ["streamcls", "pipeline"] and len(parts) > 2:
                inside = parts[2] in {stage} | PARTS.get(stage, set())
                assert inside, f"stage {stage} imports {name}"


@pytest.mark.parametrize("library", LIBRARIES)
def test_heavy_libraries_stay_where_they_belong(library: str) -> None:
    for path in modules():
        if any(name.split(".")[0] == library for name in imports(path)):
            where = place(path)
            assert any(where.startswith(home) for home in LIBRARIES[library]), where


def test_no_file_is_longer_than_300_lines() -> None:
    long = [place(path) for path in modules() if len(path.read_text().splitlines()) > 300]
    assert long == []


def test_a_consumer_needs_neither_torch_nor_av() -> None:
    import subprocess
    import sys

    probe = (
        "import sys, streamcls.client; sys.exit(bool({'torch', 'av', 'cv2'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", probe], check=False).returncode == 0
