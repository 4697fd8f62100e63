"""How far tracking looks, as functions of how often frames are looked at. All lengths are in frames.

Everything said of a frame is decided by the looks within ``Windows.radius`` of it and by nothing else: no state runs on
through a video. So a piece of it, worked on by another process that saw so many frames more on both sides, gets exactly
the same. Each stage of `lane` widens that by one of the lengths here; the radius is their sum.
"""

from __future__ import annotations

from dataclasses import dataclass

LONGEST_HOLE = 10
"""So many frames in a row a detector may miss an object."""
WEAK_REACH = 10
"""How far from a strong detection, along links, a weak one counts: as far as the longest hole, so that an object whose
score sinks below its threshold for that long is followed by what was found of it, not by a guess."""
MOTION = 4
"""Frames over which a speed is taken. A box jitters by 3 % of its size: over four frames that blurs the speed to 2 % a
frame, over two to 6 %, and over more the object's own turns are averaged out."""


@dataclass(frozen=True)
class Windows:
    """The lengths for looks at the first frame of every ``every``.

    Raises ValueError when that is less than 1.
    """

    every: int

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, got {self.every}")

    @property
    def gap(self) -> int:
        """The most frames from a hit to the next of its track: the longest hole, and what the looks' spacing adds."""
        return (LONGEST_HOLE - 1 + 2 * self.every) // self.every * self.every

    @property
    def past(self) -> int:
        """Frames that a track covers before its first and after its last hit. Never more than ``gap``."""
        return LONGEST_HOLE + self.every

    @property
    def missed(self) -> int:
        """Frames beyond a hit whose link may be wrong that are covered besides: `past`, as far as the radius allows.

        That it may be wrong is told by an end up to ``gap`` before, and whether that end goes on by those ``gap``
        before it.
        """
        return min(self.past, self.weak + 1)

    @property
    def motion(self) -> int:
        """Frames over which a speed is taken: always two looks or more besides the hit's own."""
        return self.every * max(2, MOTION // self.every)

    @property
    def weak(self) -> int:
        """Frames from a strong detection within which weak ones of its track count. Never less than ``motion``."""
        return self.every * max(2, WEAK_REACH // self.every)

    @property
    def near(self) -> int:
        """The most frames from a look to the last frame of the next group: what a link between neighbours waits for."""
        return 2 * self.every - 1

    @property
    def joined(self) -> int:
        """Frames after a look until the links that lead on from it are known."""
        return self.near + self.motion + self.gap

    @property
    def settled(self) -> int:
        """Frames after a look until it is known which of its detections count, and as what."""
        return self.joined + self.weak

    @property
    def radius(self) -> int:
        """All that is said of a frame depends on frames at most so far from it."""
        return self.settled + self.gap
