"""Which pose file belongs to which video: the one place that answers this, for every verb."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.files.naming import OUR_SUFFIXES, VIDEO_SUFFIXES, files_below, folded, inside, is_video
from dolorim.files.tables import head_of

POSE_SUFFIXES = (
    ".csv",
    ".tsv",
    ".txt",
    ".h5",
    ".hdf5",
)  # of two files of one name, the first of these is taken
LOOKED_FOR = (
    "<video>DLC_*.csv, <video>.analysis.h5, <video>_superanimal_*, <video>.csv and the like"
)

# What trackers write behind the name of a video. DeepLabCut puts nothing between the two; people do.
_DEEPLABCUT = r"(?:dlc|deepcut)(?:[_ .-].*)?|[ ._-](?:dlc|deepcut)(?:(?!dlc).)*|_superanimal_.*"
_WORDS = r"(?:[ ._-](?:analysis|predictions|preds|poses?|tracks|tracking|tracked|keypoints|filtered|sleap|lp))+"
_SUFFIX = "(?:" + "|".join(re.escape(s) for s in sorted(VIDEO_SUFFIXES)) + ")?"
_SURE = re.compile(f"{_SUFFIX}(?:{_DEEPLABCUT})", re.DOTALL)
_BEHIND = re.compile(f"{_SUFFIX}(?:{_DEEPLABCUT}|{_WORDS})?", re.DOTALL)
_NETS = "resnet|mobnet|mobilenet|eff|dlcrnet|hrnet|cspnext|rtmpose|dekr|ctd|buctd|snapshot"
# Where no video tells what its name is: the network of DeepLabCut first, then a DLC that stands as DeepLabCut puts it.
_RECORDING = [
    re.compile(f"(?P<stem>.+?){words}", re.IGNORECASE | re.DOTALL)
    for words in (
        f"(?:dlc|deepcut)_(?:{_NETS}).*",
        "(?<![ ._-])(?:dlc|deepcut)_.*",
        "[ ._-](?:dlc|deepcut)(?:_.*)?",
        "_superanimal_.*",
        f"{_SUFFIX}(?:[ ._-](?:analysis|predictions|pose|tracks|filtered))+",
    )
]
_PROJECT = re.compile(r"\.\d{3}_")  # SLEAP: <project>.v001.000_<video>.analysis.h5
_NOT_POSES = re.compile(r"collecteddata.*|.*_skeleton|.*_(?:full|meta|assemblies)", re.DOTALL)
_COORDINATE = re.compile(r"(?P<part>.+?)[ _.\-](?P<what>x|y)", re.IGNORECASE)


def is_pose_file(path: Path) -> bool:
    """Is this a pose file by its name, or, where that leaves it open, by its header? Our own output never is."""
    name = folded(path.name)
    if path.suffix.casefold() not in POSE_SUFFIXES or name.endswith(OUR_SUFFIXES):
        return False
    stem = name.removesuffix(path.suffix.casefold())
    if _NOT_POSES.fullmatch(stem):
        return False
    if path.suffix.casefold() in (".h5", ".hdf5") or re.search("dlc_|deepcut_|_superanimal_", stem):
        return True
    return looks_like_poses(path)


def looks_like_poses(path: Path) -> bool:
    """Does a table's header say that it holds points: DeepLabCut's rows, or columns <part>_x, <part>_y?"""
    try:
        rows = [[c.strip().casefold() for c in row] for row in head_of(path, 8)]
    except UserError:
        return False
    first_cells = {cell for row in rows for cell in row[:6]}
    if first_cells & {"bodyparts", "bodypart"} and first_cells & {"coords", "coord"}:
        return True
    header = rows[0] if rows else []
    points = defaultdict(set)
    for column in header:
        match = _COORDINATE.fullmatch(column)
        if match:
            points[match["part"]].add(match["what"])
    if not any(len(both) == 2 for both in points.values()):
        return False
    last = [row[-1] for row in rows[1:] if len(row) == len(header)]
    labels_behind = bool(last) and all(cell in ("0", "1", "0.0", "1.0", "-1") for cell in last)
    return not labels_behind or bool(_COORDINATE.fullmatch(header[-1]))


def recording_stem(pose: Path) -> str:
    """The name of the recording that a pose file tracks, where no video tells it: what stands before the tracker's
    own words, and behind the name of a SLEAP project."""
    match = next((m for pattern in _RECORDING if (m := pattern.fullmatch(pose.stem))), None)
    stem = match["stem"] if match else pose.stem
    project = [*_PROJECT.finditer(stem)]
    return stem[project[-1].end() :] or stem if project and match else stem


def stem_of(pose: Path, stems: Mapping[str, str]) -> str | None:
    """Which of some videos a pose file tracks: the one with the longest name that fits. `stems` by `folded` names."""
    text = folded(pose.stem)
    beginnings = [0, *(match.end() for match in _PROJECT.finditer(text))]
    fitting = []
    for begin in beginnings:
        for stop in range(len(text), begin, -1):
            known = text[begin:stop]
            if known in stems and _BEHIND.fullmatch(text[stop:]):
                fitting.append(known)
    return stems[max(fitting, key=len)] if fitting else None


def find_poses(
    files: Iterable[Path], stems: Iterable[str], findings: list[Finding]
) -> dict[str, Path]:
    """The pose file of each recording, by the recording's stem.

    Of a table and an HDF5 file of one name the table is taken, of a filtered and an unfiltered one the filtered. Where
    files of other names track one recording, none is taken, and that is a finding.
    """
    chosen = {}
    for stem, several in _by_stem(files, stems).items():
        best = _best(stem, several, findings)
        if best is not None:
            chosen[stem] = best
    return chosen


def poses_of(
    videos: Sequence[Path], places: Sequence[Path], findings: list[Finding]
) -> dict[Path, Path]:
    """The pose file of each video, among the files in some places, in whose order they are looked through.

    A place is a folder with all below it, or a file. Videos of one name take the pose in a folder of their own.
    """
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for video in videos:
        by_stem[folded(video.stem)].append(video)
    found: dict[Path, Path] = {}
    doubtful: set[str] = set()
    for place in places:
        open_stems = [
            s
            for s, its in by_stem.items()
            if s not in doubtful and any(v not in found for v in its)
        ]
        for stem, files in _by_stem(pose_files_below([place]), open_stems).items():
            its = [v for v in by_stem[stem] if v not in found]
            for video in its:
                mine = files if len(by_stem[stem]) == 1 else _beside(video, files)
                best = _best(video.stem, mine, findings) if mine else None
                if best is not None:
                    found[video] = best
                elif mine:
                    doubtful.add(stem)
            if len(by_stem[stem]) > 1 and not any(v in found for v in its) and stem not in doubtful:
                what = f"{files[0].name} may track {its[0]} or another video of that name"
                remedy = "put each pose into a folder called like its video's; no pose is used"
                findings.append(Finding("warning", str(files[0]), what, remedy, "two-videos"))
    return found


def pose_places(
    roots: Iterable[Path], dlc: Path | None, others: Iterable[Path | None] = ()
) -> list[Path]:
    """Where the poses of videos are looked for: in what --dlc names; else in the DLC/ beside the folders that videos
    are in, as these were named, or beside `others` (label files); then beside the videos."""
    if dlc is not None:
        return [dlc]
    folders = list(dict.fromkeys(root if root.is_dir() else root.parent for root in roots))
    near = [home for folder in folders for home in (folder, home_of(folder))]
    near += [home_of(other) for other in others if other is not None]
    named = [inside(home, "dlc") for home in near]
    return [*dict.fromkeys(p for p in named if p is not None and p.is_dir()), *folders]


def pose_of_video(video: Path, dlc: Path | None = None, roots: Sequence[Path] = ()) -> Path | None:
    """The pose file of a single video. Raises `UserError` where there are several.

    `roots` are folders that were named for videos; without them, the video's own.
    """
    if dlc is not None and dlc.is_file():
        return dlc
    places = [p for p in pose_places([*roots, video.parent], dlc) if p.is_dir()]
    folder = video.parent
    siblings = [p for p in sorted(folder.iterdir()) if is_video(p)] if folder.is_dir() else []
    findings: list[Finding] = []
    found = poses_of(list(dict.fromkeys([video, *siblings])), places, findings)
    doubts = [f for f in findings if f.where == video.stem or f.name == "two-videos"]
    if video not in found and doubts:
        raise UserError(
            f"{places[0]}: {doubts[0].what}; name the one that is meant with --dlc FILE"
        )
    return found.get(video)


def pose_files_below(places: Iterable[Path]) -> list[Path]:
    """Pose files below some folders; a file that is named is taken as it is."""
    found: set[Path] = set()
    for place in places:
        found.update(
            [place] if place.is_file() else (f for f in files_below(place) if is_pose_file(f))
        )
    return sorted(found)


def find_pose_files(places: Iterable[Path]) -> list[Path]:
    """One pose file for each recording among the given files and below the given folders, sorted."""
    places = list(places)
    absent = next((p for p in places if not p.exists()), None)
    if absent is not None and absent.suffix.casefold() not in POSE_SUFFIXES:
        raise UserError(f"{absent}: there is no such folder")
    named = [p for p in places if not p.is_dir()]
    files = [*named, *pose_files_below(p for p in places if p.is_dir())]
    found = find_poses(files, [recording_stem(f) for f in files], [])
    if not found:
        where = places[0] if places else "."
        raise UserError(f"{where}: no pose file here (looked for <recording>DLC_*.csv or .h5)")
    return sorted(found.values())


def home_of(folder: Path) -> Path:
    """The folder that a folder lies in, as it was named: links are not followed."""
    if folder.name in ("", ".."):
        folder = Path(os.path.normpath(Path.cwd() / folder))
    return folder.parent


def _by_stem(files: Iterable[Path], stems: Iterable[str]) -> dict[str, list[Path]]:
    wanted = {folded(s): s for s in stems}
    found: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        stem = stem_of(file, wanted)
        if stem is not None:
            found[stem].append(file)
    return found


def _best(stem: str, several: Sequence[Path], findings: list[Finding]) -> Path | None:
    best = [f for f in several if f.stem.casefold().endswith("_filtered")] or list(several)
    if len({folded(f.stem) for f in best}) > 1:
        what = f"{best[0].name} and {best[1].name} both track this recording"
        remedy = "keep one, or name a folder with --dlc; no pose is used"
        findings.append(Finding("warning", stem, what, remedy, "two-poses"))
        return None
    return min(best, key=lambda f: POSE_SUFFIXES.index(f.suffix.casefold()))


def _beside(video: Path, files: Sequence[Path]) -> list[Path]:
    """Poses in the video's own folder, else in a folder of that name."""
    here = [f for f in files if f.parent == video.parent]
    return here or [f for f in files if f.parent.name.casefold() == video.parent.name.casefold()]
