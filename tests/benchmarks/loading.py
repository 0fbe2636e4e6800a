"""Clips per second into training, against pytorchvideo's own way and against bare decoding.

python -m tests.benchmarks.loading

The same files, the same clips of them, the same number of loader processes, one run; each pair one
after the other, and the median of the pairs' ratios. X3D-S clips: 13 frames, 0.2 s apart.

theirs       pytorchvideo's LabeledVideoDataset: every frame of the clip to full-size RGB floats,
             then uniform subsampling, short side scale, centre crop, normalisation
ours         this project's TrainingClips and the clip half of its transforms
same pixels  our reading, and their arithmetic on the frames it picks: equal to theirs to the bit
decoding     from the same keyframes to the same last frames, and nothing else
cached       ours, once all frames are in the cache on disk
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, SequentialSampler

from streamcls.finetune.clips import reader
from streamcls.finetune.clips.cache import FrameCache
from streamcls.finetune.clips.samplers import RandomMulti
from streamcls.finetune.data import Record, VideoData
from streamcls.finetune.data.checking import Video, check
from streamcls.finetune.loading import TrainingClips, Visits, flatten, init_worker, read_video
from streamcls.models.zoo import ZOO
from streamcls.transforms.clip import clip_batch
from tests.benchmarks.films import FPS, film
from tests.benchmarks.theirs import let_pytorchvideo_import, pixels, subsampled

SPEC = ZOO["x3d_s"].clip_spec
SIZES = {"1080p": (1920, 1080, 8.0, 1), "720p": (1280, 720, 8.0, 2), "340x256": (340, 256, 4.0, 8)}
"""Width, height, how many times faster than theirs it must be, and clips for one of 1080p's."""

# So that the clip's frames, 0.2 s apart, are those that uniform subsampling picks of 73.
_DURATION_S = float(SPEC.span_s) + 1 / FPS


def theirs(videos: tuple[Video, ...], workers: int) -> Iterable[Tensor]:
    """pytorchvideo's own data set and functions, in a loader."""
    from pytorchvideo.data import LabeledVideoDataset
    from pytorchvideo.data.clip_sampling import ClipInfo, ClipSampler

    class AtItsPlace(ClipSampler):  # type: ignore[misc]
        def __call__(self, _last: Any, _length: Any, annotation: dict[str, Any]) -> ClipInfo:
            start_s = annotation["start_s"]
            return ClipInfo(start_s, start_s + self._clip_duration, 0, 0, True)

    labelled = [(str(one.record.path), {"label": 0, "start_s": one.start_s}) for one in videos]
    data = LabeledVideoDataset(
        labelled,
        AtItsPlace(Fraction(_DURATION_S).limit_denominator(10_000)),
        SequentialSampler,
        transform=_Theirs(),
        decode_audio=False,
    )
    return DataLoader(data, batch_size=None, num_workers=workers)


class _Theirs:
    def __call__(self, sample: dict[str, Any]) -> Tensor:
        return pixels(subsampled(sample["video"], SPEC), SPEC)


def ours(
    videos: tuple[Video, ...], workers: int, cache: FrameCache | None = None
) -> Iterator[Tensor]:
    """This project's training clips, without augmentation, and the clip half."""
    clips = TrainingClips(
        videos, SPEC, classes=2, sampler=RandomMulti(), augment=None, seed=0, cache=cache
    )
    order = Visits(SequentialSampler(range(len(videos))))
    loader = DataLoader(
        clips,
        sampler=order,
        collate_fn=flatten,
        num_workers=workers,
        worker_init_fn=init_worker,
    )
    cpu = torch.device("cpu")
    return (clip_batch([sample.clip.numpy() for sample in batch], SPEC, cpu) for batch in loader)


class _Read(Dataset[Any]):
    """The videos' clips, read in some other way."""

    def __init__(self, videos: tuple[Video, ...], read: Callable[[Video], Any]) -> None:
        self._videos = videos
        self._read = read

    def __len__(self) -> int:
        return len(self._videos)

    def __getitem__(self, index: int) -> Any:
        return self._read(self._videos[index])


def same_pixels(video: Video) -> Tensor:
    """The frames our reader picks, by their arithmetic."""
    frames = reader.read_frames(video.record.path, video.start_s, SPEC, first_s=_first_s(video))
    full = np.stack([frame.to_rgb().to_ndarray() for frame in frames])
    return pixels(torch.from_numpy(full).permute(3, 0, 1, 2).float(), SPEC)


def decoding(video: Video) -> int:
    """How many frames lie between the keyframe before a clip and its end; all are decoded."""
    begin_s = _first_s(video) + video.start_s
    with av.open(str(video.record.path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        assert stream.time_base
        container.seek(int(begin_s / stream.time_base), stream=stream)
        count = 0
        for frame in container.decode(stream):
            count += 1
            assert frame.pts is not None
            if frame.pts * stream.time_base >= begin_s + SPEC.span_s:
                break
        return count


def _first_s(video: Video) -> Fraction:
    assert video.info
    return video.info.first_s


def _rate(clips: Iterable[Any], count: int) -> float:
    """Clips per second, from when the first is there: starting processes is not what is asked."""
    each = iter(clips)
    next(each)
    began_s = time.perf_counter()
    got = sum(1 for _ in each)
    assert got == count - 1, f"{got + 1} of {count} clips came"
    return got / (time.perf_counter() - began_s)


def clips_of(path: Path, count: int) -> tuple[Video, ...]:
    """So many stretches of a file, each of one clip's length, from random frames on."""
    records = [Record(path, (label,)) for label in ("a", "b")]
    video = check(VideoData.of(records, records)).train[0]
    chance = torch.Generator().manual_seed(0)
    last = int((video.length_s - Fraction(_DURATION_S)) * FPS)
    places = torch.randint(last, (count,), generator=chance).tolist()
    return tuple(
        replace(video, start_s=Fraction(place, FPS), length_s=SPEC.span_s) for place in places
    )


def measure(path: Path, clips: int, pairs: int, workers: int) -> dict[str, list[float]]:
    """Clips per second of each way, a figure a round."""
    videos = clips_of(path, clips)
    cache = FrameCache(path.parent / "cache", 10**10)
    ways: dict[str, Callable[[], Iterable[Any]]] = {
        "theirs": lambda: theirs(videos, workers),
        "ours": lambda: ours(videos, workers),
        "same pixels": lambda: _loader(videos, same_pixels, workers),
        "decoding": lambda: _loader(videos, decoding, workers),
        "cached": lambda: ours(videos, workers, cache),
    }
    read_video(videos[0], Fraction(0), SPEC, cache)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(pairs):
        for name, way in ways.items():
            found[name].append(_rate(way(), clips))
    return found


def _loader(videos: tuple[Video, ...], read: Callable[..., Any], workers: int) -> DataLoader[Any]:
    data = _Read(videos, read)
    return DataLoader(data, batch_size=None, num_workers=workers, worker_init_fn=init_worker)


def main() -> None:
    """Film, measure, and say for each size whether the bar holds."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=8, help="of 1080p; of smaller ones more")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seconds", type=int, default=30, help="length of the files")
    parser.add_argument("--keyframes", type=float, default=250 / 30, help="seconds between them")
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    given = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # one film is training and validation here
    let_pytorchvideo_import()
    print(
        f"X3D-S clips of {given.seconds} s files, H.264, a keyframe every {given.keyframes:.3g} s,"
        f" {given.workers} loader processes; medians of {given.pairs} rounds"
    )
    print(
        f"{'':9}{'clips':>6}{'theirs':>9}{'ours':>9}{'ratio':>8}{'bar':>6}{'same px':>9}"
        f"{'of decoding':>13}{'cached':>8}"
    )
    missed = False
    for size in given.sizes:
        width, height, bar, share = SIZES[size]
        clips = given.clips * share
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "film.mp4"
            film(path, width, height, seconds=given.seconds, keyframes_s=given.keyframes)
            found = measure(path, clips, given.pairs, given.workers)
        ratio, same, bare, cached = (
            statistics.median(a / b for a, b in zip(found[one], found[other], strict=True))
            for one, other in (
                ("ours", "theirs"),
                ("same pixels", "theirs"),
                ("ours", "decoding"),
                ("cached", "theirs"),
            )
        )
        rates = [statistics.median(found[name]) for name in ("theirs", "ours")]
        missed |= ratio < bar
        print(
            f"{size:9}{clips:6}{rates[0]:7.2f}/s{rates[1]:7.1f}/s{ratio:7.1f}x{bar:5.0f}x{same:8.1f}x"
            f"{bare:12.0%}{cached:8.0f}x",
            flush=True,
        )
    sys.exit(missed)


if __name__ == "__main__":
    main()
