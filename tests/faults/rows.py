"""The fault matrix: what goes wrong, and what the operator must then see."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults import acts
from tests.faults.camera import Camera, Session, hang_up, reply, reset
from tests.faults.media import (
    Media,
    Picture,
    changed,
    corrupted,
    film,
    jumped,
    onward,
    until,
)

OPEN_S = READ_S = 1.5
"""The limits that the matrix sets."""

PLAYED_S = 3.0
"""How long a camera plays that fails in mid-stream."""


@dataclass(frozen=True)
class Row:
    """One fault.

    Attributes:
        name: what goes wrong.
        camera: plays it; or
        file: makes a file that has it, in a folder; or
        url: what else is asked for, made from the camera server's own `url`.
        states: in this order, others may come between.
        reason: of the states `backoff`, `failed` or `stale`; empty: none of them is seen.
        stale: whether the stream may be `stale` for want of frames before that.
        windows: whether windows are still classified at the end.
        epochs: how many stream epochs there are: 1, or more (2); 0: that is left to chance.
        counted: metrics without `streamcls_` and `_total`, with their reason, that are above zero.
        limit_s: from the connection to the first failure, without the slack of a busy machine.
        clock_offset_s: what predictions say in the end; None: not looked at.
        words: what the status's detail names.
        asked: how often at most an attempt asks the camera; None: as often as the camera demands.
    """

    name: str
    camera: Camera | None = None
    file: Callable[[Path], Path] | None = None
    url: Callable[[Callable[[str], str]], str] | None = None
    settings: str = ""
    states: tuple[str, ...] = ("connecting", "warming_up", "up")
    reason: str = ""
    stale: bool = False
    windows: bool = True
    epochs: int = 1
    counted: tuple[str, ...] = ()
    limit_s: float | None = None
    clock_offset_s: float | None = None
    words: str = ""
    asked: int | None = 1

    @property
    def id(self) -> str:
        """The stream's id."""
        kept = "".join(c if c.isalnum() else "-" for c in self.name.lower())
        return kept[:64].strip("-")


def _answers(method: str, answer: acts.Answering) -> Mapping[str, acts.Answering]:
    return {method: answer}


def _status(line: str, **headers: str) -> Camera:
    return Camera(answers={"DESCRIBE": lambda _, request: reply(request, line, **headers)})


def _played(*rest: acts.Act) -> Callable[[], Media]:
    """Some seconds of film, and then something else."""
    return lambda: onward(until(round(10 * PLAYED_S), film()), iter(rest))


_FAILS = ("connecting", "backoff")
_LOSES = ("connecting", "warming_up", "up", "backoff")


def _stall(name: str, camera: Camera, *, seen: bool = False) -> Row:
    return Row(
        name,
        camera,
        states=_LOSES if seen else _FAILS,
        reason="timeout",
        windows=seen,  # it comes back, plays, and stalls again
        epochs=2 if seen else 1,
        counted=("source_reconnects timeout",),
        limit_s=PLAYED_S + READ_S if seen else OPEN_S + READ_S,
    )


STALLS = [
    _stall("accepts and says nothing", Camera(greet=Session.wait)),
    _stall("DESCRIBE unanswered", Camera(answers=_answers("DESCRIBE", lambda *_: None))),
    _stall("SETUP unanswered", Camera(answers=_answers("SETUP", lambda *_: None))),
    _stall("PLAY unanswered", Camera(answers=_answers("PLAY", lambda *_: None))),
    _stall("PLAY, then nothing", Camera(media=lambda: iter([Session.wait]))),
    _stall("stall in mid-stream", Camera(media=_played(Session.wait)), seen=True),
    _stall("RTCP only", Camera(media=lambda: iter([acts.reports_only]))),
    _stall("RTCP only, from mid-stream on", Camera(media=_played(acts.reports_only)), seen=True),
    _stall("the answer to DESCRIBE byte by byte", Camera(answers={"DESCRIBE": acts.trickled})),
    _stall("pictures byte by byte", Camera(media=_played(acts.trickle_on)), seen=True),
]

BREAKS = [
    Row(
        "FIN in mid-stream",
        Camera(media=_played(hang_up)),
        states=_LOSES,
        reason="disconnected",
        epochs=2,
        counted=("source_reconnects disconnected",),
        limit_s=PLAYED_S,
    ),
    Row(
        "RST in mid-stream",
        Camera(media=_played(reset)),
        states=_LOSES,
        reason="disconnected",
        epochs=2,
        counted=("source_reconnects disconnected",),
        limit_s=PLAYED_S,
    ),
    Row(
        "flapping",
        Camera(media=lambda: onward(until(10, film()), iter([hang_up]))),
        states=("connecting", "warming_up", "up", "backoff", "connecting", "warming_up"),
        reason="disconnected",
        epochs=2,
        counted=("source_reconnects disconnected",),
    ),
    Row(
        "garbage in place of an answer",
        Camera(greet=lambda session: session.send(bytes(range(256)) * 8)),
        states=_FAILS,
        reason="protocol",
        windows=False,
        counted=("source_reconnects protocol",),
        limit_s=OPEN_S,
    ),
    Row("garbage between pictures", Camera(media=_played(acts.garbage, acts.play_on)), epochs=1),
    Row(
        "nothing listens",
        url=lambda url: acts.closed(),
        states=_FAILS,
        reason="unreachable",
        windows=False,
        counted=("source_reconnects unreachable",),
        limit_s=OPEN_S,
    ),
]

ANSWERS = [
    Row("redirect to a camera that works", Camera(answers={"DESCRIBE": acts.redirect("good")})),
    Row(
        "redirect to itself",
        Camera(answers={"DESCRIBE": acts.redirect("redirect-to-itself")}),
        states=_FAILS,
        reason="timeout",
        windows=False,
        limit_s=OPEN_S,
        asked=None,
    ),
    Row(
        "redirect to a closed port",
        Camera(answers={"DESCRIBE": acts.redirect_to(acts.closed())}),
        states=_FAILS,
        reason="unreachable",
        windows=False,
    ),
    *(
        Row(
            f"answers {line}",
            _status(line, **headers),
            states=_FAILS,
            reason=reason,
            windows=False,
            counted=(f"source_reconnects {reason}",),
            words=words,
            # A challenge is answered with the password.
            asked=2 if "WWW_Authenticate" in headers else 1,
        )
        for line, headers, reason, words in [
            (
                "401 Unauthorized",
                {"WWW_Authenticate": 'Digest realm="cam", nonce="1"'},
                "refused",
                "user or password",
            ),
            ("403 Forbidden", {}, "refused", "user or password"),
            ("404 Not Found", {}, "refused", "no such path"),
            ("454 Session Not Found", {}, "rejected", "will not stream"),
            ("500 Internal Server Error", {}, "rejected", "will not stream"),
            ("503 Service Unavailable", {}, "rejected", "will not stream"),
        ]
    ),
    Row(
        "no video in the description",
        Camera(sdp=lambda lines: [line.replace("m=video", "m=audio") for line in lines]),
        states=_FAILS,
        reason="unusable",
        windows=False,
        words="no video",
    ),
    Row(
        "a codec nobody knows",
        Camera(sdp=lambda lines: [line.replace("H264", "X-NONE") for line in lines]),
        states=_FAILS,
        reason="unusable",
        windows=False,
    ),
]


def _resized() -> Media:
    return onward(until(40, film()), film(Picture(192, 96)))


def _recoded() -> Media:
    return onward(until(150, film()), film(Picture(codec="libx265")))


def _thinned() -> Media:
    return changed(film(), lambda number, unit: None if number % 3 == 2 else unit)


def _jumping(media: Media, seconds: float) -> Media:
    """Jumps 1.2 s apart: windows end in one place of each second, so one of these cuts one off."""
    for at in range(52, 112, 12):
        media = jumped(media, at, seconds)
    return media


def _halted() -> Media:
    return changed(film(), lambda number, unit: unit if number < 30 else acts.at(unit, 270_000))


LIES = [
    Row(
        "a fifth of the pictures corrupt",
        Camera(media=lambda: corrupted(film(), 0.2)),
        epochs=0,  # a corrupt keyframe may cost seconds, which are a break
        counted=("decode_errors",),
    ),
    Row(
        "every picture corrupt after a while",
        Camera(media=lambda: corrupted(film(), 1.0, after=60)),
        states=_LOSES,
        reason="corrupt",
        stale=True,
        epochs=2,
        counted=("decode_errors", "source_reconnects corrupt"),
    ),
    Row("every third picture lost", Camera(media=_thinned)),
    Row("another size in mid-stream", Camera(media=_resized), epochs=2),
    Row(
        "another codec in mid-stream",
        Camera(media=_recoded),
        states=_LOSES,
        reason="corrupt",
        stale=True,
        epochs=2,
        counted=("decode_errors", "source_reconnects corrupt"),
    ),
    Row(
        "time jumps forward by 100 s",
        Camera(media=lambda: _jumping(film(), 100)),
        epochs=2,
        counted=("windows_dropped broken",),
    ),
    Row(
        "time jumps back by 1000 s",
        Camera(media=lambda: _jumping(film(start=900_000_000), -1000)),
        epochs=2,
        counted=("windows_dropped broken",),
    ),
    Row("RTP time wraps at 32 bits", Camera(media=lambda: film(start=2**32 - 450_000))),
    Row("RTP sequence numbers wrap", Camera(sequence=2**16 - 30)),
    Row(
        "time stands still",
        Camera(media=_halted),
        windows=False,
        counted=("frames_dropped same_timestamp",),
    ),
    Row("B-frames", Camera(media=lambda: film(Picture(b_frames=2)))),
    Row("declares 1 frame a second", Camera(sdp=acts.declares("a=framerate:1"))),
    Row("declares 1000 frames a second", Camera(sdp=acts.declares("a=framerate:1000"))),
    Row("declares no frame rate", Camera(sdp=acts.declares(""))),
    Row(
        "from 5 to 60 frames a second",
        Camera(media=lambda: onward(until(30, film(fps=5)), film(fps=60))),
    ),
    Row(
        "the camera's clock is set an hour on",
        Camera(clock_offset_s=lambda played_s: 3600.0 if played_s > 6 else 0.0),
        clock_offset_s=3600.0,
    ),
    Row("the camera's clock is never told", Camera(clock_offset_s=lambda played_s: None)),
    Row(
        "a frozen picture",
        Camera(media=lambda: film(Picture(still=True))),
        states=("connecting", "warming_up", "up", "stale"),
        reason="frozen",
    ),
    Row("10-bit pictures", Camera(media=lambda: film(Picture(pixels="yuv420p10le")))),
    Row("grey pictures", Camera(media=lambda: film(Picture(pixels="gray")))),
    Row("interlaced pictures", Camera(media=lambda: film(Picture(interlaced=True)))),
    Row("portrait pictures", Camera(media=lambda: film(Picture(96, 160)))),
    Row("tiny pictures", Camera(media=lambda: film(Picture(16, 16)))),
    Row("large pictures", Camera(media=lambda: film(Picture(1920, 1088), fps=10))),
    Row("H.265", Camera(media=lambda: film(Picture(codec="libx265")), hevc=True)),
    Row(
        "pictures larger than allowed",
        Camera(media=lambda: film(Picture(2560, 1440), fps=5)),
        states=_FAILS,
        reason="unusable",
        windows=False,
        words="max_pixels",
    ),
]


_FILE = ("connecting", "warming_up", "up")

FILES = [
    Row("a file of text", file=acts.text, states=("connecting", "failed"), reason="unusable",
        windows=False),
    Row("an empty file", file=acts.empty, states=("connecting", "failed"), reason="unusable",
        windows=False),
    Row("a recording cut short", file=acts.cut, states=(*_FILE, "failed"), reason="truncated",
        windows=False),
    Row("a recording without its index", file=acts.headless, states=("connecting", "failed"),
        reason="unusable", windows=False),
    Row("a playlist that names other files", file=acts.playlist, states=("connecting", "failed"),
        reason="unusable", windows=False),
    Row("a list for FFmpeg to join", file=acts.concat, states=("connecting", "failed"),
        reason="unusable", windows=False),
    Row("sound only", file=acts.sound, states=("connecting", "failed"), reason="unusable",
        windows=False),
    Row("bits flipped on disk", file=acts.flipped, settings="loop = true", epochs=2,
        counted=("decode_errors",)),
    Row("a raw stream without times", file=acts.raw, settings="loop = true", epochs=2),
]  # fmt: skip

ROWS = [*STALLS, *BREAKS, *ANSWERS, *LIES, *FILES]
