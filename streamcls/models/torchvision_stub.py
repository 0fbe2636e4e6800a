"""Import pytorchvideo's models whether or not torchvision works.

Its classification networks need nothing of torchvision, yet `pytorchvideo.models.head` imports
`torchvision.ops.RoIAlign` for the detection heads. Where torchvision is missing, or fails to load
beside this build of torch, a stand-in is present for the length of that import and gone after it:
other packages look for torchvision to decide what they can do, and must not find a false one.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from streamcls.errors import StreamclsError

_NEEDS_ROI_ALIGN = "pytorchvideo.models.head"


class RoIAlign:
    """Stands in for torchvision's layer, and says so when one is built."""

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        raise StreamclsError(
            "RoIAlign needs a working torchvision, and none was found; install the torchvision"
            " that matches this torch, or use a network without a detection head"
        )


def import_pytorchvideo(name: str) -> ModuleType:
    """Import `pytorchvideo.models.<name>`."""
    if _NEEDS_ROI_ALIGN not in sys.modules and not _torchvision_works():
        with _stand_in():
            importlib.import_module(_NEEDS_ROI_ALIGN)
    return importlib.import_module(f"pytorchvideo.models.{name}")


def _torchvision_works() -> bool:
    try:
        importlib.import_module("torchvision.ops")
    # A torchvision of another torch fails with RuntimeError, OSError or AttributeError, by version.
    except Exception:
        return False
    return True


@contextmanager
def _stand_in() -> Iterator[None]:
    """Put a stand-in torchvision into `sys.modules`, then what was there before."""
    before = _torchvision_modules()
    torchvision, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
    vars(torchvision)["ops"] = ops
    vars(ops)["RoIAlign"] = RoIAlign
    _replace(before, {"torchvision": torchvision, "torchvision.ops": ops})
    try:
        yield
    finally:
        _replace(_torchvision_modules(), before)


def _torchvision_modules() -> dict[str, ModuleType]:
    return {
        name: module
        for name, module in sys.modules.items()
        if name == "torchvision" or name.startswith("torchvision.")
    }


def _replace(old: dict[str, ModuleType], new: dict[str, ModuleType]) -> None:
    for name in old:
        del sys.modules[name]
    sys.modules.update(new)
