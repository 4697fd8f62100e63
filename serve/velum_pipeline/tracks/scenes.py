"""Where scenes begin and end: nothing is linked or extended over a cut."""

from __future__ import annotations

from bisect import bisect_right

BEGINNING, END = -(1 << 40), 1 << 40


class Scenes:
    """The cuts of late. A cut is named by the first frame behind it."""

    def __init__(self) -> None:
        self._cuts: list[int] = []
        self._dropped = 0

    def cut(self, ordinal: int) -> None:
        """A scene begins with this frame; cuts come in order."""
        self._cuts.append(ordinal)

    def forget(self, ordinal: int) -> None:
        """Nothing will be asked of frames before this one."""
        passed = max(bisect_right(self._cuts, ordinal) - 1, 0)
        self._cuts = self._cuts[passed:]
        self._dropped += passed

    def number(self, ordinal: int) -> int:
        """Of a frame's scene: the same for two frames when there is no cut between them."""
        return self._dropped + bisect_right(self._cuts, ordinal)

    def begin(self, ordinal: int) -> int:
        """The first frame of this frame's scene, BEGINNING where that is not known to be cut."""
        place = bisect_right(self._cuts, ordinal)
        return self._cuts[place - 1] if place else BEGINNING

    def end(self, ordinal: int) -> int:
        """The first frame after this frame's scene, END where no cut is known of."""
        place = bisect_right(self._cuts, ordinal)
        return self._cuts[place] if place < len(self._cuts) else END
