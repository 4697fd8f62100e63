"""The numbers as they are printed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evaluation.tracks.figures import Figures
from film.floor import Ratio
from film.memory import WITHIN
from film.recall import Counted
from film.speed import Speed

FLOOR_GOAL, PEER_GOAL = 1.15, 3.0
TITLES = {
    "": "velum, every 3rd frame",
    "every_frame_": "velum, every frame",
    "peer_": "deface",
    "others_": "velum, every frame, other classes",
}


def floors(ratios: Sequence[Ratio]) -> None:
    """Path beside floor."""
    print(f"{'without inference':34} {'frames/s':>9} {'ratio':>7} {'cpu s':>8} {'ratio':>7}   goal <= {FLOOR_GOAL}")
    for ratio in ratios:
        print(ratio.name)
        for side, seconds in ratio.wall.items():
            wall, cpu = ratio.of(side)
            print(f"  {side:32} {ratio.frames / seconds:9.1f} {wall:7.3f} {ratio.cpu[side]:8.2f} {cpu:7.3f}")


def speeds(found: Sequence[Speed]) -> None:
    """Sides beside the peer, which is the second where there is one."""
    print(
        f"{'file to file, faces':34} {'frames/s':>9} {'ratio':>7} {'per cpu s':>9} {'ratio':>7}   goal >= {PEER_GOAL:g}"
    )
    for each in found:
        wall, cpu = (each.rate / found[1].rate, each.cpu_rate / found[1].cpu_rate) if len(found) > 1 else (1.0, 1.0)
        print(f"{each.side.name[:34]:34} {each.rate:9.2f} {wall:7.2f} {each.cpu_rate:9.2f} {cpu:7.2f}")
        for clip, rate in each.each.items():
            print(f"  {clip[:32]:32} {rate:9.2f}")


def tracks(found: Mapping[str, Counted]) -> None:
    """Recall of made tracks by side, and within it by size or class."""
    _head("made tracks")
    for prefix, counted in found.items():
        _figures(TITLES[prefix], counted.total)
        parts = counted.classes if len(counted.classes) > 1 else counted.sizes
        for name, each in parts.items():
            _figures(f"  {name}", each)


def pseudo(ensemble: str, found: Mapping[str, Figures]) -> None:
    """Recall of pseudo tracks by side."""
    _head("pseudo tracks, real clips")
    for name, each in found.items():
        _figures(name, each)
    print(f"pseudo tracks: what {ensemble} sees in every frame, not labels")


def memory(found: Mapping[float, float]) -> None:
    """Peaks by length."""
    first = next(iter(found.values()))
    print(f"{'peak memory':34} {'MiB':>9} {'ratio':>7}   goal <= {WITHIN}")
    for seconds, peak in found.items():
        print(f"{seconds:g} s of video".ljust(34) + f" {peak:9.1f} {peak / first:7.3f}")


def _head(title: str) -> None:
    print(f"{title:34} {'tracks':>7} {'recall':>7} {'exposed frames':>15} {'longest':>8}")


def _figures(title: str, figures: Figures) -> None:
    recall = "-" if figures.recall is None else f"{figures.recall:.3f}"
    share = "-" if figures.exposed_share is None else f"{100 * figures.exposed_share:.2f} %"
    print(f"{title[:34]:34} {figures.tracks:7} {recall:>7} {share:>15} {figures.longest:8}")
