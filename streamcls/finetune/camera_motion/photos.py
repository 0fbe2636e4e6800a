"""The training photographs: freely licensed pictures from Debian packages.

Nothing here is shipped. `fetch` downloads the packages with `apt-get download` and unpacks them
with `dpkg -x` into a cache folder, which needs no administrator rights:

    CACHE/lomiri-wallpapers-16.04/usr/share/backgrounds/...
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamcls.errors import DataError
from streamcls.frames import RgbImage

RgbaImage = npt.NDArray[np.uint8]

_LONG_SIDE_MAX = 2048  # pixels kept of a photograph's longer side; memory against detail
_SHORT_SIDE_MIN = 40  # pixels of the smallest pyramid level
_STAMP_SIDE_MAX = 192


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package and the pictures of it that are used.

    Attributes:
        name: Debian package.
        licence: of these pictures, as its /usr/share/doc/NAME/copyright states.
        folder: where they lie in the package.
        files: their names under `folder`.
    """

    name: str
    licence: str
    folder: str
    files: tuple[str, ...]


_LOMIRI = "usr/share/backgrounds"
_PLASMA = "usr/share/wallpapers"

PACKAGES = (
    Package(
        "lomiri-wallpapers-16.04",
        "CC-BY-4.0, CC-BY-SA-4.0",
        _LOMIRI,
        (
            "Bridge_by_Sander_Klootwijk.jpg",
            "Dragonfly_by_Bolly.jpg",
            "Picture_0B_by_freespace.jpg",
            "Picture_1A_by_freespace.jpg",
            "Wine_by_Jakkub_Mede.jpg",
            "free_by_Peter_Nerlich.jpg",
            "greentock_by_Peter_Nerlich.jpg",
        ),
    ),
    Package(
        "lomiri-wallpapers-20.04",
        "CC-BY-SA-3.0",
        _LOMIRI,
        ("Infinite-Sea_by_Aury88.jpg", "Kleiber_by_Lukas_Baubkus.jpg"),
    ),
    Package(
        "mate-backgrounds",
        "GPL-2+",
        "usr/share/backgrounds/mate",
        (
            "abstract/Elephants_3840x2160.jpg",
            "nature/Aqua.jpg",
            "nature/Blinds.jpg",
            "nature/Dune.jpg",
            "nature/Garden.jpg",
            "nature/GreenMeadow.jpg",
            "nature/LadyBird.jpg",
            "nature/RainDrops.jpg",
            "nature/Storm.jpg",
            "nature/TwoWings.jpg",
            "nature/Wood.jpg",
            "nature/YellowFlower.jpg",
        ),
    ),
    Package(
        "plasma-workspace-wallpapers",
        "GPL-2+",
        _PLASMA,
        (
            "Altai/contents/images/5120x2880.png",
            "Autumn/contents/images/2560x1600.jpg",
            "BytheWater/contents/images/2560x1600.jpg",
            "ColdRipple/contents/images/2560x1600.jpg",
            "ColorfulCups/contents/images/2560x1600.jpg",
            "DarkestHour/contents/images/2560x1600.jpg",
            "EveningGlow/contents/images/2560x1600.jpg",
            "FallenLeaf/contents/images/2560x1600.jpg",
            "Flow/contents/images/5120x2880.jpg",
            "Grey/contents/images/2560x1600.jpg",
            "Kite/contents/images/2560x1600.jpg",
            "MilkyWay/contents/images/5120x2880.png",
            "OneStandsOut/contents/images/2560x1600.jpg",
            "Path/contents/images/2560x1600.jpg",
            "SafeLanding/contents/images/5120x2880.jpg",
            "Volna/contents/images/5120x2880.jpg",
            "summer_1am/contents/images/2560x1600.jpg",
        ),
    ),
    Package(
        "gnome-backgrounds",
        "GPL-2+",
        "usr/share/backgrounds/gnome",
        ("licorice-l.webp", "pixels-d.webp", "truchet-d.webp"),
    ),
    Package(
        "opencv-doc",
        "Apache-2.0, BSD-3-Clause",
        "usr/share/doc/opencv-doc/examples/data",
        (
            "aero1.jpg",
            "aero3.jpg",
            "aloeL.jpg",
            "baboon.jpg",
            "basketball1.png",
            "blox.jpg",
            "board.jpg",
            "box_in_scene.png",
            "building.jpg",
            "butterfly.jpg",
            "cards.png",
            "fruits.jpg",
            "graf1.png",
            "home.jpg",
            "left01.jpg",
            "leuvenA.jpg",
            "licenseplate_motion.jpg",
            "messi5.jpg",
            "orange.jpg",
            "rubberwhale1.png",
            "smarties.png",
            "squirrel_cls.jpg",
            "starry_night.jpg",
            "stuff.jpg",
        ),
    ),
)
STAMPS = Package("tuxpaint-stamps-default", "GPL-2", "usr/share/tuxpaint/stamps", ("**/*.png",))


@dataclass(frozen=True, slots=True)
class Pyramid:
    """A photograph at successively halved sizes, the largest first."""

    levels: tuple[RgbImage, ...]

    @classmethod
    def of(cls, image: RgbImage) -> "Pyramid":
        """Shrink a picture to at most 2048 pixels and build its levels."""
        levels = [_shrink(image, _LONG_SIDE_MAX)]
        while min(levels[-1].shape[:2]) >= 2 * _SHORT_SIDE_MIN:
            levels.append(_shrink(levels[-1], max(levels[-1].shape[:2]) // 2))
        return cls(tuple(levels))


@dataclass(frozen=True, slots=True)
class Assets:
    """What scenes are made of: photographs, and cut-out objects with an alpha channel."""

    photos: tuple[Pyramid, ...]
    stamps: tuple[RgbaImage, ...]


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/streamcls/photos`, by default under `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamcls" / "photos"


def fetch(cache: Path) -> None:
    """Download and unpack the packages that are not in the cache folder yet.

    Raises:
        DataError: this is not a Debian system with these packages, or a download failed.
    """
    missing = [p.name for p in (*PACKAGES, STAMPS) if not (cache / p.name).is_dir()]
    if not missing:
        return
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise DataError(
            f"the training photographs come from Debian packages and apt-get is not here; on a"
            f" Debian system run `apt-get download {' '.join(missing)}`, unpack each with"
            f" `dpkg -x FILE.deb {cache}/PACKAGE` and copy {cache} here"
        )
    cache.mkdir(parents=True, exist_ok=True)
    for name in missing:
        _run(["apt-get", "download", name], cache)
        archive = max(cache.glob(f"{name}_*.deb"))
        unfinished = cache / f"{name}.unfinished"  # so that an interrupted run is not taken as done
        _run(["dpkg", "-x", str(archive), str(unfinished)], cache)
        unfinished.rename(cache / name)
        archive.unlink()


def load_assets(cache: Path) -> Assets:
    """Read all training pictures, in a fixed order.

    Raises:
        DataError: a picture is missing or unreadable; run `fetch` first.
    """
    # Worker processes are forked later, and OpenCV's own threads do not survive a fork.
    cv2.setNumThreads(1)
    paths = [cache / p.name / p.folder / file for p in PACKAGES for file in p.files]
    stamps = sorted((cache / STAMPS.name / STAMPS.folder).glob(STAMPS.files[0]))
    cut_outs = [stamp for path in stamps if (stamp := _read_stamp(path)) is not None]
    if not cut_outs:
        raise DataError(
            f"no cut-out objects under {cache / STAMPS.name}; remove it and fetch again"
        )
    return Assets(tuple(Pyramid.of(read_rgb(path)) for path in paths), tuple(cut_outs))


def read_rgb(path: Path) -> RgbImage:
    """Read a picture file as RGB.

    Raises:
        DataError: it is missing or not a picture.
    """
    image = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError(f"cannot read the picture {path}")
    return np.ascontiguousarray(image[:, :, ::-1]).astype(np.uint8, copy=False)


def _read_stamp(path: Path) -> RgbaImage | None:
    """A cut-out with a real alpha channel, or None for pictures without one."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3 or image.shape[2] != 4 or image.dtype != np.uint8:
        return None
    if not 0.15 < float(np.mean(image[:, :, 3] > 128)) < 0.97:
        return None
    rgba = np.ascontiguousarray(image[:, :, [2, 1, 0, 3]]).astype(np.uint8, copy=False)
    return _shrink(rgba, _STAMP_SIDE_MAX)


def _shrink(image: npt.NDArray[np.uint8], long_side: int) -> npt.NDArray[np.uint8]:
    height, width = image.shape[:2]
    if max(height, width) <= long_side:
        return image
    scale = long_side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _run(command: list[str], folder: Path) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        raise DataError(f"`{' '.join(command)}` failed: {result.stderr.strip()[-300:]}")
