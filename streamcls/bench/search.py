"""The whole: film, look around, serve ever more cameras, find the knee."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from streamcls.bench.box import Around, Counters
from streamcls.bench.child import daemon, tables
from streamcls.bench.costs import Costs, costs_of
from streamcls.bench.films import Recording, Size, default_cache, filmed, lasting
from streamcls.bench.knee import largest
from streamcls.bench.ramp import FIRST, Demands, Level, Ramp
from streamcls.bench.verdict import SUBSTREAM, Found, limit_of, was_disturbed
from streamcls.errors import ConfigError
from streamcls.models.backends.cores import cores_available
from streamcls.models.bundle import find_bundle
from streamcls.models.manifest import read_manifest
from streamcls.transforms import ClipSpec, WindowPlan

LOOK_S = 2.0
"""How long the machine is looked at before."""
_START_UP_S = 600.0  # a daemon that tries backends and compiles may take minutes
_BEGIN_WITH = 4  # begin with so small a part of what decoding alone would allow
_BEGIN_MOST = 16  # a core: where decoding costs next to nothing, the network will limit


@dataclass(frozen=True, slots=True)
class Asked:
    """What an operator wants to know.

    Attributes:
        video: a recording of their own in place of a film of `size` and `fps`.
        seconds: how long each number of cameras is measured.
    """

    model: str
    size: Size
    fps: Fraction
    stride_s: float
    video: Path | None
    backend: str
    seconds: float
    max_age_ms: float
    limit: int


class Search:
    """One run. `found` is at any time what has been measured so far."""

    def __init__(
        self,
        asked: Asked,
        *,
        on_step: Callable[[str], None],
        on_level: Callable[[Level], None],
        cache: Path | None = None,
    ) -> None:
        """Look at the model file and the video; nothing is measured yet.

        Args:
            on_step: told what is done now, in a few words.
            on_level: told what each number of cameras came to.

        Raises:
            ModelError: the model file cannot be served.
            ConfigError: the video cannot be played.
        """
        self._asked = asked
        self._on_step = on_step
        self._on_level = on_level
        self._cache = cache or default_cache()
        self._model = find_bundle(asked.model)
        manifest = read_manifest(self._model)
        self._spec: ClipSpec = manifest.clip_spec
        self._plan = WindowPlan.of(self._spec, asked.stride_s)
        video = Recording.of(asked.video) if asked.video else None
        self.found = Found(
            source=f"{asked.video.name} ({video.codec})" if asked.video and video else "a film",
            size=video.size if video else asked.size,
            fps=round(video.fps, 2) if video else float(asked.fps),
            model=manifest.name,
            stride_s=round(float(self._plan.stride_s), 4),
            max_age_ms=asked.max_age_ms,
            limit=asked.limit,
            cores=cores_available(),
            before=Around(0, 0, 0, 0, 0),
        )

    def run(self) -> None:
        """Measure until the knee is known.

        Raises:
            StreamclsError: the daemon could not be started, or died.
        """
        found, demands = self.found, self._demands()
        self._on_step("looking at what else this machine does")
        before = Counters.now()
        time.sleep(LOOK_S)
        found.before = Around.between(before, Counters.now(), ours_s=0.0)
        with self._source(demands.lasts_s()) as url:
            self._on_step("measuring what a picture costs")
            found.costs = costs_of(url, self._spec)
            self._ramp(url, demands)
            self._look_at_substream()

    def _demands(self) -> Demands:
        stride_s = float(self._plan.stride_s)
        return Demands(
            stride_s=stride_s,
            seconds=stride_s * max(1, round(self._asked.seconds / stride_s)),
            window_s=float(self._plan.span_s) + stride_s,
            max_age_ms=self._asked.max_age_ms,
        )

    @contextmanager
    def _source(self, seconds: float) -> Iterator[Path]:
        """A film that is long enough, in a folder that goes with it."""
        asked, cache = self._asked, self._cache
        if not asked.video:
            self._on_step(f"filming {asked.size} at {float(asked.fps):g} fps, for now and later")
        with ExitStack() as stack:
            try:
                cache.mkdir(parents=True, exist_ok=True)
                path = asked.video or filmed(cache, asked.size, asked.fps)
                folder = stack.enter_context(TemporaryDirectory(dir=cache, prefix="run-"))
                longer = lasting(path, Path(folder) / "film.mp4", seconds)
            except OSError as error:
                raise ConfigError(f"{cache} cannot hold a film: {error.strerror}") from None
            yield longer

    def _ramp(self, url: Path, demands: Demands) -> None:
        found, asked = self.found, self._asked
        self._on_step("starting the daemon: it tries what runs the network fastest")
        first, toml = tables([FIRST], url), f'backend = "{asked.backend}"'
        with daemon(first, self._model, stride_s=asked.stride_s, model_toml=toml) as child:
            ramp = Ramp(child, url, demands, costs=found.costs, on_step=self._on_step)
            found.levels = ramp.levels
            ramp.wait_for(FIRST, _START_UP_S)

            def holds(cameras: int) -> bool:
                level = ramp.level(cameras)
                found.backend = ramp.backend
                self._on_level(level)
                if not level.held and was_disturbed(level, found):
                    level = ramp.again(cameras)
                    self._on_level(level)
                return level.held

            found.capacity = largest(holds, start=self._start(found.costs), limit=asked.limit)

    def _start(self, costs: Costs | None) -> int:
        """A number that is likely held, but not by so much that doubling it takes for ever."""
        if not costs or not costs.decode_ms:
            return 1
        decoded = self.found.cores * 1000 / (costs.decode_ms * self.found.fps)
        return max(1, min(int(decoded / _BEGIN_WITH), _BEGIN_MOST * self.found.cores))

    def _look_at_substream(self) -> None:
        found = self.found
        larger = found.size.width * found.size.height > 2 * SUBSTREAM.width * SUBSTREAM.height
        if found.beyond and larger and limit_of(found.beyond, found.cores) in ("decode", "convert"):
            self._on_step(f"measuring what a picture of {SUBSTREAM} costs")
            small = filmed(self._cache, SUBSTREAM, Fraction(found.fps).limit_denominator(1001))
            found.substream = costs_of(small, self._spec)
