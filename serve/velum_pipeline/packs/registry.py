"""Which packs there are, where their weights lie, and from their names to a Detector.

Manifests: those shipped with the project, then ``pack.toml`` in every given folder and in its direct subfolders. A
folder's pack replaces a shipped one of the same name, an earlier folder's a later one's: what was put there on purpose
wins.

Weights of a pack are looked for beside its manifest, then for every folder in FOLDER/<pack>/ and FOLDER/, then in
CACHE/<pack>/, where ``fetch`` puts them, and CACHE/; beside a shipped manifest only those that come with Velum, too.
The first file of that name counts. If it is not the described one, that is an error: skipping it would hide a broken
mirror or worse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import resources
from pathlib import Path

from velum_pipeline.detect.component import Component
from velum_pipeline.detect.detector import Detector
from velum_pipeline.detect.errors import ClassNotFound
from velum_pipeline.detect.networks import open_session
from velum_pipeline.detect.networkspec import NetworkSpec
from velum_pipeline.detect.outlines import Outliner
from velum_pipeline.detect.session import Network, Runtime
from velum_pipeline.detect.torchsession import cuda_ready
from velum_pipeline.options import ObjectClass
from velum_pipeline.packs.errors import ManifestInvalid, PackError, PackNotFound, WeightsMissing
from velum_pipeline.packs.manifest import MANIFEST, PackManifest, WeightsFile, read_manifest
from velum_pipeline.packs.weights import WeightsReader

SHIPPED = "shipped with velum"
SHIPPED_PACKS = resources.files("velum_pipeline.packs")
CPU = Runtime()
_Key = tuple[str, str, bool, bool, bool]
"""What makes two networks one session: the weights' hash, what runs them, and how they are opened."""


@dataclass(frozen=True)
class PackStatus:
    """A known pack, where its manifest is from, and what keeps it from running (empty: it is ready)."""

    manifest: PackManifest
    origin: str
    problems: tuple[PackError, ...]

    @property
    def ready(self) -> bool:
        """Whether all weights are there and verified."""
        return not self.problems


@dataclass(frozen=True)
class _Entry:
    """``folder``: where the manifest lies; None for one inside an archive. ``shipped``: whether it came with Velum."""

    manifest: PackManifest
    folder: Path | None
    shipped: bool = False


class PackRegistry:
    """The packs of one process. Reads all manifests when made; weights only when asked to."""

    def __init__(
        self, folders: Sequence[Path] = (), cache: Path | None = None, *, cuda: Callable[[], bool] = cuda_ready
    ) -> None:
        """``folders`` hold packs of the user, ``cache`` is where ``fetch`` puts weights. ``cuda`` says whether torch
        has a GPU; it is asked when a pack is loaded for one.

        Raises ManifestInvalid for any manifest that cannot be used, and for a folder that does not exist.
        """
        self._folders = tuple(Path(folder) for folder in folders)
        self._cache = cache
        self._cuda = cuda
        self._reader = WeightsReader()
        self._packs = {entry.manifest.name: entry for entry in _shipped()}
        for folder in reversed(self._folders):
            for path in reversed(list(_manifests(folder))):
                manifest = read_manifest(path)
                self._packs[manifest.name] = _Entry(manifest, path.parent)

    def available(self) -> list[PackStatus]:
        """Every known pack by name, with what it lacks. Hashes weights that it has not seen yet."""
        return [self._status(self._packs[name]) for name in sorted(self._packs)]

    def get(self, name: str) -> PackManifest:
        """The manifest of a pack. Raises PackNotFound."""
        return self._entry(name).manifest

    def classes(self, names: Iterable[str]) -> frozenset[ObjectClass]:
        """What the packs find together. Raises PackNotFound."""
        return frozenset().union(*(self.get(name).classes for name in names))

    def require(
        self,
        names: Sequence[str],
        classes: Iterable[ObjectClass],
        advice: str = "use a model that includes the pack {}",
    ) -> None:
        """Raise ClassNotFound, naming the packs that would help, unless the packs find all these classes.

        ``advice``: how who reads it comes to use a pack; {} is its name.
        """
        missing = set(classes) - self.classes(names)
        if missing:
            raise ClassNotFound(missing, names, self._remedy(missing, advice))

    def locate(self, name: str, file: WeightsFile) -> Path:
        """Where a file of a pack lies (unverified). Raises PackNotFound or WeightsMissing."""
        searched = list(dict.fromkeys(self._places(self._entry(name), file)))
        for folder in searched:
            if (folder / file.name).is_file():
                return folder / file.name
        raise WeightsMissing(name, file.name, searched, fetched=file.has_origin)

    def load(self, names: Sequence[str], runtime: Runtime = CPU) -> Detector:
        """One detector of all networks of all packs, weights verified and sessions open.

        Networks that read the same weights share a session. Raises PackNotFound, WeightsMissing, WeightsCorrupt or
        ModelInvalid.
        """
        names = list(dict.fromkeys(names))
        sessions: dict[_Key, Network] = {}
        components: list[Component] = []
        outliners: list[Outliner] = []
        for name in names:
            manifest = self.get(name)
            open_one = partial(self._session, name, runtime, sessions)
            parts = [part.suited(runtime.provider, self._cuda) for part in manifest.components]
            components += [Component(part, open_one(part), runtime, name) for part in parts]
            outlines = [outline.suited(runtime.provider, self._cuda) for outline in manifest.outlines]
            outliners += [Outliner(outline, open_one(outline), runtime, name) for outline in outlines]
        return Detector(components, names, outliners)

    def _session(self, pack: str, runtime: Runtime, opened: dict[_Key, Network], spec: NetworkSpec) -> Network:
        file = self.get(pack).file(spec.file)
        key = (file.sha256, spec.format, spec.batch, spec.resizes, spec.partial)
        if key not in opened:
            opened[key] = open_session(spec, self._reader.read(self.locate(pack, file), file), runtime)
        return opened[key]

    def _entry(self, name: str) -> _Entry:
        if name not in self._packs:
            raise PackNotFound(name, self._packs)
        return self._packs[name]

    def _status(self, entry: _Entry) -> PackStatus:
        problems = []
        for file in entry.manifest.files:
            try:
                self._reader.verify(self.locate(entry.manifest.name, file), file)
            except PackError as error:
                problems.append(error)
        return PackStatus(entry.manifest, SHIPPED if entry.shipped else str(entry.folder), tuple(problems))

    def _places(self, entry: _Entry, file: WeightsFile) -> Iterator[Path]:
        if entry.folder is not None and not (entry.shipped and file.has_origin):  # what is to be fetched is not shipped
            yield entry.folder
        for folder in (*self._folders, *([self._cache] if self._cache else [])):
            yield folder / entry.manifest.name
            yield folder

    def _remedy(self, missing: set[ObjectClass], advice: str) -> str:
        helpful = [name for name in sorted(self._packs) if self._packs[name].manifest.classes & missing]
        if not helpful:
            return f"no known pack finds {', '.join(sorted(missing))}; put one in a folder of packs (docs/models.md)"
        ready = [name for name in helpful if self._status(self._packs[name]).ready]
        if ready:
            return advice.format(ready[0])
        return f"get a pack that does with `velum models fetch {helpful[0]}` and {advice.format(helpful[0])}"


def _shipped() -> Iterator[_Entry]:
    for folder in sorted(SHIPPED_PACKS.iterdir(), key=lambda entry: entry.name):
        manifest = folder / MANIFEST
        if folder.is_dir() and manifest.is_file():
            # Weights are read from paths; from inside an archive there are none, and they have to be fetched.
            yield _Entry(read_manifest(manifest), folder if isinstance(folder, Path) else None, shipped=True)


def _manifests(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise ManifestInvalid(
            str(folder), "not a folder; packs are looked for in FOLDER/pack.toml and FOLDER/*/pack.toml"
        )
    yield from (path for path in [folder / MANIFEST, *sorted(folder.glob(f"*/{MANIFEST}"))] if path.is_file())
