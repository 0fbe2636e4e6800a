"""Video files that show known camera motion over a photograph."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from streamcls.finetune.camera_motion.backdrop import draw_upright
from streamcls.finetune.camera_motion.camera import MODERATE, Pace, Stretch, draw_motion, poses
from streamcls.finetune.camera_motion.photos import Assets, Pyramid, read_rgb
from streamcls.finetune.camera_motion.scene import Labelled, Scene, draw_scene
from streamcls.frames import RgbImage

Truth = tuple[str, float, float]
"""A label with its start and end in the video, seconds."""

_CHUNK = 50  # frames rendered at a time; bounds the memory


def write_video(
    path: Path,
    photo: Path | RgbImage,
    segments: Sequence[tuple[str, float]],
    *,
    fps: float = 25.0,
    size: tuple[int, int] = (640, 360),
    seed: int = 0,
    codec: str = "libx264",
    foreground: bool = True,
    pace: Pace = MODERATE,
    options: dict[str, str] | None = None,
) -> list[Truth]:
    """Film a photograph with a virtual camera.

    Successive segments flow into each other within `camera.RAMP_S`. The same arguments render the
    same pictures; what x264 makes of equal pictures differs slightly from run to run.

    Args:
        path: of the file to write; its suffix chooses the container.
        photo: a picture file, or RGB pixels.
        segments: successive labels with their durations in seconds.
        fps: frames a second.
        size: width and height, even numbers.
        seed: of everything that is drawn at random.
        codec: FFmpeg's name of the encoder.
        foreground: whether objects, cut from the same photograph, may pass by.
        pace: from which ranges speeds and amplitudes are drawn.
        options: of the encoder; by default a fast preset and moderate quality.

    Returns:
        What can be seen when.

    Raises:
        DataError: the picture cannot be read.
        ValueError: a label is unknown, there is no segment, or a duration is not above 0.
    """
    pixels = read_rgb(photo) if isinstance(photo, Path) else photo
    rng = np.random.default_rng(seed)
    plan = plan_segments(segments, rng, pace)
    assets = Assets((Pyramid.of(pixels),), ())
    stretches, end = [part.stretch for part in plan], plan[-1].stretch.end_s
    track = poses(stretches, np.linspace(0, end, max(2, round(10 * end))))
    scene = draw_scene(
        plan,
        assets,
        rng,
        clutter=False,
        light=False,
        sprites=foreground,
        place=lambda: draw_upright(assets.photos[0], track, size, rng),
    )
    film(path, scene, end, rng, fps=fps, size=size, codec=codec, options=options)
    return [(part.label, part.stretch.start_s, part.stretch.end_s) for part in plan]


def plan_segments(
    segments: Sequence[tuple[str, float]], rng: np.random.Generator, pace: Pace
) -> list[Labelled]:
    """Draw a motion for each segment. Raises ValueError as `write_video`."""
    if not segments or any(seconds <= 0 for _, seconds in segments):
        raise ValueError(f"segments {list(segments)} must be at least one, each above 0 seconds")
    plan, start = [], 0.0
    for label, seconds in segments:
        motion = draw_motion(label, rng, pace)
        plan.append(Labelled(label, Stretch(motion, start, start + seconds)))
        start += seconds
    return plan


def film(
    path: Path,
    scene: Scene,
    seconds: float,
    rng: np.random.Generator,
    *,
    fps: float,
    size: tuple[int, int],
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> None:
    """Render a scene from time 0 on and encode it; arguments as `write_video`."""
    times = np.arange(max(1, round(seconds * fps))) / fps
    chunks = (times[first : first + _CHUNK] for first in range(0, len(times), _CHUNK))
    frames = (frame for chunk in chunks for frame in scene.render(chunk, size, rng))
    encode(path, frames, fps=fps, size=size, codec=codec, options=options)


def encode(
    path: Path,
    frames: Iterable[RgbImage],
    *,
    fps: float,
    size: tuple[int, int],
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> None:
    """Write RGB frames to a video file."""
    if options is None:
        options = {"preset": "veryfast", "crf": "26"} if codec == "libx264" else {}
    with av.open(str(path), "w") as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
