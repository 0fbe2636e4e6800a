"""A scene: everything a virtual camera sees and what its sensor and codec make of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from streamcls.finetune.camera_motion import labels as c
from streamcls.finetune.camera_motion.backdrop import Backdrop, detailed_cells, draw_backdrop
from streamcls.finetune.camera_motion.camera import Stretch, poses
from streamcls.finetune.camera_motion.cover import Cover, draw_cover
from streamcls.finetune.camera_motion.light import Light, Sensor, draw_light, draw_sensor
from streamcls.finetune.camera_motion.objects import (
    Foliage,
    Pane,
    Sprite,
    draw_foliage,
    draw_pane,
    draw_sprites,
)
from streamcls.finetune.camera_motion.overlay import Overlay, draw_overlay
from streamcls.finetune.camera_motion.photos import Assets
from streamcls.frames import RgbImage

Array = npt.NDArray[np.float64]

_PROBE = (64, 64)  # size at which a backdrop's detail is judged
_TRIES = 12  # backdrops drawn before the most detailed one is taken as it is
_BLUR_SAMPLES = 3  # instants averaged into one exposure
_BLUR_FROM = 0.02  # sides moved during an exposure from which it is averaged
_SPRITES_EVERY_S = 3.0  # new objects come into long scenes
_SWAY_SHARE = 0.07  # scenes with leaves in wind or ripples
_STILL_CELLS_MIN = 3  # detailed patches that tell a still scene from a covered lens


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label from `start_s` to `end_s`, with the motion that shows it."""

    label: str
    stretch: Stretch


@dataclass(frozen=True, slots=True)
class Scene:
    """See `render` for the order in which the parts act.

    Attributes:
        stretches: the camera's path.
        backdrops: one, or two with a cut from one to the other at `cut_s`.
        exposure_s: shutter time, for motion blur.
    """

    stretches: tuple[Stretch, ...]
    backdrops: tuple[Backdrop, ...]
    light: Light
    sensor: Sensor
    overlay: Overlay
    sprites: tuple[Sprite, ...] = ()
    pane: Pane | None = None
    foliage: Foliage | None = None
    covers: tuple[Cover, ...] = ()
    exposure_s: float = 0.0
    cut_s: float = float("inf")

    def render(
        self, times_s: Array, size: tuple[int, int], rng: np.random.Generator
    ) -> list[RgbImage]:
        """Film the scene.

        Args:
            times_s: ascending instants.
            size: width and height of the frames.
            rng: for what differs from frame to frame, such as noise.

        Returns:
            One frame for each instant.
        """
        shutter = np.linspace(-0.5, 0.5, _BLUR_SAMPLES) * self.exposure_s
        instants = (times_s[:, None] + shutter).ravel()
        first = self.stretches[0].start_s
        tracks = poses(self.stretches, np.maximum(instants, first))
        tracks = tracks.reshape(len(times_s), _BLUR_SAMPLES, 4)
        zoom = float(tracks[..., 2].mean())
        frames = []
        for time_s, track in zip(times_s, tracks, strict=True):
            frame = self._expose(float(time_s), track, size, zoom)
            frame = self._develop(frame, float(time_s), rng)
            frames.append(frame)
        return self.sensor.compress(frames)

    def _expose(self, time_s: float, track: Array, size: tuple[int, int], zoom: float) -> RgbImage:
        """What reaches the lens: photograph, moving parts, objects."""
        backdrop = self.backdrops[-1 if time_s >= self.cut_s else 0]
        moved = np.abs(track[-1] - track[0])
        if moved[:2].max() + moved[2] / 2 > _BLUR_FROM:
            views = [backdrop.view(pose, size, zoom).astype(np.uint16) for pose in track]
            frame = (sum(views[1:], views[0]) // len(views)).astype(np.uint8)
        else:
            frame = backdrop.view(track[len(track) // 2], size, zoom)
        if self.foliage:
            frame = self.foliage.draw(frame, time_s)
        if self.pane:
            self.pane.draw(frame, time_s)
        for sprite in self.sprites:
            sprite.draw(frame, time_s, track[len(track) // 2])
        return frame

    def _develop(self, frame: RgbImage, time_s: float, rng: np.random.Generator) -> RgbImage:
        """What the sensor makes of it, and what is drawn over the picture."""
        self.sensor.weather(frame, rng)
        frame = self.light.apply(frame, time_s)
        for cover in self.covers:
            frame = cover.apply(frame, time_s)
        frame = self.sensor.noise(frame, rng)
        self.overlay.draw(frame, time_s)
        return frame


def draw_scene(
    plan: Sequence[Labelled],
    assets: Assets,
    rng: np.random.Generator,
    *,
    clutter: bool = True,
    light: bool = True,
    sprites: bool = True,
    place: Callable[[], Backdrop] | None = None,
) -> Scene:
    """A random scene that shows the planned labels.

    Args:
        plan: successive labels.
        assets: what it is made of.
        clutter: whether there may be overlays, swaying trees, screens and the like.
        light: whether light, noise and weather may be other than plain.
        sprites: whether objects may move through the scene.
        place: proposes where the camera stands; by default anywhere in any photograph.
    """
    stretches = tuple(part.stretch for part in plan)
    shown = {part.label for part in plan}
    begin, end = stretches[0].start_s, stretches[-1].end_s
    lamp = draw_light(rng) if light else Light()
    sensor = draw_sensor(rng) if light else Sensor()
    draw = place or (lambda: draw_backdrop(assets.photos, rng))
    backdrop = find_backdrop(plan, lamp, sensor, draw)
    covers = tuple(
        draw_cover(
            part.stretch.start_s if part.stretch.start_s > begin else float("-inf"),
            part.stretch.end_s if part.stretch.end_s < end else float("inf"),
            rng,
        )
        for part in plan
        if part.label == "covered"
    )
    scene = Scene(
        stretches,
        (backdrop,),
        lamp,
        sensor,
        draw_overlay(rng) if clutter else Overlay(),
        covers=covers,
        exposure_s=float(rng.choice([0, 1]) * rng.uniform(0.002, 0.033)),
    )
    if sprites:
        traffic = _draw_traffic(assets, stretches, rng, dense=clutter and shown == {"still"})
        scene = replace(scene, sprites=traffic)
    if clutter and rng.random() < _SWAY_SHARE:
        scene = replace(scene, foliage=draw_foliage(rng))
    if clutter and shown <= {"still", "covered"}:
        scene = _disturb(scene, assets, rng)
    return scene


def _draw_traffic(
    assets: Assets, stretches: Sequence[Stretch], rng: np.random.Generator, *, dense: bool
) -> tuple[Sprite, ...]:
    """Moving objects; in long scenes new ones come every few seconds."""
    begin, end = stretches[0].start_s, stretches[-1].end_s
    moments = np.arange(begin, end, _SPRITES_EVERY_S) + rng.uniform(0, _SPRITES_EVERY_S)
    moments = np.minimum(moments, rng.uniform((begin + end) / 2, end))
    return tuple(
        sprite
        for moment, pose in zip(moments, poses(stretches, moments), strict=True)
        for sprite in draw_sprites(assets, float(moment), pose, rng, dense=dense)
    )


def find_backdrop(
    plan: Sequence[Labelled],
    light: Light,
    sensor: Sensor,
    draw: Callable[[], Backdrop],
) -> Backdrop:
    """A backdrop on which every planned motion can be seen, in this light and above this noise.

    Args:
        draw: gives another backdrop at each call.
    """
    best, most = draw(), -1.0
    for attempt in range(_TRIES):
        backdrop = best if attempt == 0 else draw()
        shown = _visibility(plan, backdrop, light, max(c.DETAIL_MIN, 0.7 * sensor.grain))
        if shown > most:
            best, most = backdrop, shown
        if most >= 1:
            break
    return best


def _visibility(plan: Sequence[Labelled], backdrop: Backdrop, light: Light, floor: float) -> float:
    """Detailed patches over those asked for, where the planned motion shows the fewest of them."""
    stretches = [part.stretch for part in plan]
    shares = []
    for part in plan:
        ends = np.array([part.stretch.start_s, part.stretch.end_s])
        wanted = _STILL_CELLS_MIN if part.label in {"still", "covered"} else c.DETAILED_CELLS_MIN
        for pose in poses(stretches, ends):
            view = light.apply(backdrop.view(pose, _PROBE), float(ends[0]))
            shares.append(detailed_cells(view, part.label, floor) / wanted)
            if shares[-1] < 1:  # the rest of this motion need not be looked at
                break
    return min(shares)


def _disturb(scene: Scene, assets: Assets, rng: np.random.Generator) -> Scene:
    """Things that only a still camera is asked to see through."""
    flowing, cut = rng.random(2) < [0.12, 0.04]
    if flowing:
        scene = replace(scene, pane=draw_pane(assets, rng))
    if cut:
        other = draw_backdrop(assets.photos, rng)
        scene = replace(scene, backdrops=(*scene.backdrops, other), cut_s=rng.uniform(0.1, 1.0))
    return scene


def shrink(frames: Sequence[RgbImage], side: int) -> npt.NDArray[np.uint8]:
    """Frames scaled to the network's size as serving does: uint8 (time, side, side, 3)."""
    if frames[0].shape[0] == side:
        return np.stack(frames)
    area = cv2.INTER_AREA
    return np.stack(
        [np.asarray(cv2.resize(f, (side, side), interpolation=area), np.uint8) for f in frames]
    )
