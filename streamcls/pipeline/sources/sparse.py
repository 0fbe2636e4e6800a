"""Packets in, pictures out in the order in which they show; those that no window needs, undecoded.

Two kinds of packet can be left out without a change to any other picture:

    disposable   I0 P3 b1 b2 P6 ...     no picture refers to b1: left out if no instant shows it
    gop          I P P P P P P | I ...  the rest of a group whose next keyframe comes before the
                                        next instant: held back until that keyframe is here

What was held back in vain is decoded late, to the same pictures. Whatever is not plain is decoded
at once: what comes before the first picture or after a jump, new parameters, fields.
"""

from bisect import insort
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TypeAlias

import av
from av.packet import Packet
from av.video.stream import VideoStream

from streamcls.frames import Undecoded
from streamcls.pipeline.sources.decoder import pictures_of
from streamcls.pipeline.sources.nal import Coded, reader_of
from streamcls.pipeline.sources.pacing import MAX_STEP_S

Needs = Callable[[Fraction, Fraction], bool]
"""Whether anything needs what shows from a media time on, up to another, exact seconds."""

Picture: TypeAlias = av.VideoFrame | Undecoded

_MAX_HELD = 256  # packets: ten seconds of a camera
_MAX_HELD_BYTES = 8 << 20


@dataclass(slots=True, eq=False)
class _Entry:
    """A packet on its way: decoded (`fed`), held back, or left out.

    `continues`: of the size and on the timeline of those before; `plain`: may be left out.
    """

    pts: int
    packet: "Packet[VideoStream]"
    coded: Coded
    continues: bool
    plain: bool
    fed: bool = False
    told: bool = False


@dataclass(slots=True)
class _Hold:
    """Packets held back, in decoding order; `to_keyframe` if not for one step only."""

    to_keyframe: bool = False
    entries: list[_Entry] = field(default_factory=list)
    size: int = 0

    def add(self, entry: _Entry) -> bool:
        """Hold a packet back; False where there is no room for it."""
        self.entries.append(entry)
        self.size += entry.packet.size
        return len(self.entries) <= _MAX_HELD and self.size <= _MAX_HELD_BYTES


class SparseDecoder:
    """The decoder of one run of one stream.

    Pictures come out in the order of their times, and none later than if all were decoded; but of
    streams whose B-frames are referred to, some may come with the next packet. Where packets that
    others refer to were lost on the way, what the decoder makes of the damage may differ, until
    the next keyframe.
    """

    def __init__(
        self,
        stream: VideoStream,
        on_error: Callable[[], None],
        needs: Needs | None,
        skipped: Counter[str],
    ) -> None:
        """Nothing is decoded yet.

        Args:
            on_error: told of each packet that gives an error, and of each damaged picture.
            needs: asked at each packet, once all pictures given out before were taken; None:
                everything is decoded.
            skipped: where packets that are left out are counted, by reason.
        """
        self._skipped = skipped
        self._on_error = on_error
        self._errors = 0
        self._codec = stream.codec_context
        self._read = reader_of(self._codec.name, self._codec.extradata) if needs else None
        self._needs = needs or (lambda _from_s, _before_s: True)
        self._tick_s = Fraction(stream.time_base or 1)
        self._max_step = MAX_STEP_S // self._tick_s
        self._parameters = b""
        self._regular = True
        self._size: tuple[int, int, int] | None = None  # width, height, rotation
        self._waiting: list[_Entry] = []  # not given out yet, in the order in which they show
        self._hold: _Hold | None = None
        self._stale: set[int] = set()  # given out undecoded, though the decoder has them
        self._told = 0  # when the last picture given out shows, in ticks
        self._keyframe: int | None = None
        self._gop: int | None = None  # ticks between the last two keyframes

    def push(self, packet: "Packet[VideoStream]") -> list[Picture]:
        """Take the next packet; the pictures that it releases. The last packet is empty."""
        if self._read is None:
            return list(pictures_of(packet, self._on_error))
        if not packet.size:
            return self._end(packet)
        entry = self._placed(packet, self._read(packet))
        if entry and entry.plain and self._may_wait(entry):
            return self._undecoded()
        return [*self._release(), *self._decoded(packet, entry), *self._undecoded()]

    def _placed(self, packet: "Packet[VideoStream]", coded: Coded | None) -> _Entry | None:
        """A place among those that wait; None for a packet that says too little for one."""
        if coded is None or packet.is_discard:  # it will give no picture
            return None
        changed = bool(coded.parameters and self._parameters) and (
            coded.parameters != self._parameters
        )
        self._parameters = coded.parameters or self._parameters
        pts, begun = packet.pts, self._size is not None
        if pts is None or (begun and pts == self._told) or any(e.pts == pts for e in self._waiting):
            # Fields or slices in packets of their own: a picture is not a packet here.
            self._regular = not begun
            return None
        if coded.starts_gop:
            if self._keyframe is not None and pts > self._keyframe:
                self._gop = pts - self._keyframe
            self._keyframe = pts
        continues = not (changed or packet.has_sidedata("new_extradata")) and (
            not begun or 0 < pts - self._told <= self._max_step
        )
        plain = (
            begun
            and continues
            and self._regular
            # More would teach the decoder to wait longer before it gives out pictures.
            and sum(entry.pts > pts for entry in self._waiting) <= self._codec.reorder_depth
            and all(entry.continues for entry in self._waiting)
            and not packet.is_corrupt
        )
        entry = _Entry(pts, packet, coded, continues, plain)
        insort(self._waiting, entry, key=lambda waiting: waiting.pts)
        return entry

    def _may_wait(self, entry: _Entry) -> bool:
        """Leave a packet out or hold it back, if either is possible."""
        hold, disposable = self._hold, entry.coded.disposable
        if hold and entry.coded.starts_gop and not self._still_needed(self._waiting[-1].pts):
            self._forget(hold)
        if not hold:
            if disposable and (after := self._after(entry)) is not None:
                if self._needed(entry.pts, after) or self._delays():
                    return False
                self._skipped["disposable"] += 1
                return True
            hold = _Hold()
        if not hold.to_keyframe:
            hold.to_keyframe = self._is_idle_to_keyframe()
        if not (hold.to_keyframe or disposable):
            return False
        # The last one shows until a time not known yet: no less than for one tick.
        if self._still_needed(self._waiting[-1].pts + 1):
            return False
        if not hold.add(entry):
            hold.entries.pop()
            self._keyframe = None
            return False
        self._hold = hold
        return True

    def _is_idle_to_keyframe(self) -> bool:
        """Whether nothing is needed until the next keyframe, if it comes when the last one did."""
        if self._keyframe is None or self._gop is None:
            return False
        expected = self._keyframe + self._gop
        return expected > self._waiting[-1].pts and not self._still_needed(expected)

    def _delays(self) -> bool:
        """Whether leaving one more out keeps a picture in the decoder that is waited for."""
        behind = len(self._waiting) - self._codec.reorder_depth > 1
        return behind and self._waiting[0].fed and self._still_needed(self._waiting[1].pts)

    def _after(self, entry: _Entry) -> int | None:
        """When the picture that shows next after this one does, as far as is known."""
        return next((other.pts for other in self._waiting if other.pts > entry.pts), None)

    def _needed(self, from_pts: int, before_pts: int) -> bool:
        parts, whole = self._tick_s.numerator, self._tick_s.denominator
        return self._needs(Fraction(from_pts * parts, whole), Fraction(before_pts * parts, whole))

    def _still_needed(self, before_pts: int) -> bool:
        """Whether anything is needed after what was last given out, up to a time."""
        return self._needed(self._told + 1, before_pts)

    def _forget(self, hold: _Hold) -> None:
        """Leave out what was held back: a keyframe is here."""
        self._skipped["gop" if hold.to_keyframe else "disposable"] += len(hold.entries)
        hold.entries.clear()
        hold.size, hold.to_keyframe = 0, False  # whether to hold this group is another question

    def _release(self) -> list[Picture]:
        """Decode what was held back, but for what no other picture needs either."""
        hold, self._hold = self._hold, None
        out: list[Picture] = []
        for entry in hold.entries if hold else ():
            after = self._after(entry)
            if entry.coded.disposable and (
                entry.told or (after is not None and not self._needed(entry.pts, after))
            ):
                self._skipped["disposable"] += 1
                continue
            if entry.told:
                self._stale.add(entry.pts)
            out += self._decoded(entry.packet, entry)
        return out

    def _decoded(self, packet: "Packet[VideoStream]", entry: _Entry | None) -> list[Picture]:
        errors = self._errors
        pictures = pictures_of(packet, self._note_error)
        if entry:
            entry.fed = True
            if self._errors > errors and not pictures and entry in self._waiting:
                self._waiting.remove(entry)
        return self._shown(pictures)

    def _note_error(self) -> None:
        self._errors += 1
        self._on_error()

    def _shown(self, pictures: list[av.VideoFrame]) -> list[Picture]:
        """What the decoder gave, with what shows before it."""
        out: list[Picture] = []
        for picture in pictures:
            pts = picture.pts
            self._regular &= not picture.interlaced_frame
            if pts in self._stale:
                self._stale.remove(pts)
                continue
            if pts is not None:
                while self._waiting and self._waiting[0].pts < pts:
                    entry = self._waiting.pop(0)
                    if not entry.fed:  # else it was lost in the decoder
                        out.append(self._tell(entry))
                if self._waiting and self._waiting[0].pts == pts:
                    del self._waiting[0]
                self._stale = {late for late in self._stale if late > pts}
                self._told = pts
                self._size = picture.width, picture.height, picture.rotation
            out.append(picture)
        return out

    def _undecoded(self) -> list[Picture]:
        """What shows next and needs no picture, as soon as the decoder would have given it."""
        out: list[Picture] = []
        while len(self._waiting) > self._codec.reorder_depth:
            first = self._waiting[0]
            if self._hold:
                if len(self._waiting) == 1:
                    break  # what it shows until is not known
                if first.fed:
                    self._stale.add(first.pts)
            elif first.fed:
                break
            out.append(self._tell(self._waiting.pop(0)))
        return out

    def _tell(self, entry: _Entry) -> Undecoded:
        assert self._size is not None
        entry.told = True
        self._told = entry.pts
        return Undecoded(*self._size, entry.pts, self._tick_s, entry.packet.opaque)

    def _end(self, packet: "Packet[VideoStream]") -> list[Picture]:
        """All that is left."""
        if self._hold:
            self._forget(self._hold)
            self._hold = None
        out = self._shown(pictures_of(packet, self._note_error))
        out += [self._tell(entry) for entry in self._waiting if not entry.fed]
        self._waiting.clear()
        return out
