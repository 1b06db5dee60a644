"""Which pose file belongs to which video: the one place that answers this, for every command."""

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

# Of two files of one name, the one whose suffix comes first here is taken.
POSE_SUFFIXES = (".csv", ".tsv", ".txt", ".h5", ".hdf5")
LOOKED_FOR = (
    "<video>DLC_*.csv, <video>.analysis.h5, <video>_superanimal_*, <video>.csv and the like; "
    "SLEAP's .slp files need to be exported as analysis HDF5"
)

# What trackers append to the name of a video. DeepLabCut puts nothing in between; people do.
_DEEPLABCUT = r"(?:dlc|deepcut)(?:[_ .-].*)?|[ ._-](?:dlc|deepcut)(?:(?!dlc).)*|_superanimal_.*"
_WORDS = (
    r"(?:[ ._-](?:analysis|predictions|preds?|inference|poses?|tracks|tracking|tracked|keypoints"
    r"|filtered|cleaned|smoothed|proofread|singlecam|eks|sleap|lp))+"
)
_SUFFIX = "(?:" + "|".join(re.escape(s) for s in sorted(VIDEO_SUFFIXES)) + ")?"
_APPENDED = re.compile(f"{_SUFFIX}(?:{_DEEPLABCUT}|{_WORDS})?", re.DOTALL)
_NETS = "resnet|mobnet|mobilenet|eff|dlcrnet|hrnet|cspnext|rtmpose|dekr|ctd|buctd|snapshot"
# If no video tells what its name is: first try the network of DeepLabCut, then a DLC as DeepLabCut
# writes it, then what people write.
_RECORDING = [
    re.compile(f"(?P<stem>.+?){words}", re.IGNORECASE | re.DOTALL)
    for words in (
        f"(?:dlc|deepcut)_(?:{_NETS}).*",
        "(?<![ ._-])(?:dlc|deepcut)_.*",
        "[ ._-](?:dlc|deepcut)(?:_.*)?",
        "_superanimal_.*",
        # Not "tracking": recordings themselves are called that.
        f"{_SUFFIX}(?:[ ._-](?:analysis|predictions|preds?|inference|poses?|tracks|keypoints"
        f"|filtered|cleaned|smoothed|proofread|eks|sleap))+",
    )
]
_PROJECT = re.compile(r"\.\d{3}_")  # SLEAP writes <project>.v001.000_<video>.analysis.h5
_NOT_POSES = re.compile(r"collecteddata.*|.*_skeleton|.*_(?:full|meta|assemblies)", re.DOTALL)
_COORDINATE = re.compile(r"(?P<part>.+?)[ _.\-](?P<what>x|y)", re.IGNORECASE)


def is_pose_file(path: Path) -> bool:
    """Is this a pose file, judging by its name or, if that is not enough, by its header?

    What dolorim writes about a video is not.
    """
    name = folded(path.name)
    # Names are cheap; only if they leave it open is the file opened.
    if path.suffix.casefold() not in POSE_SUFFIXES or name.endswith(OUR_SUFFIXES):
        return False
    stem = name.removesuffix(path.suffix.casefold())
    if _NOT_POSES.fullmatch(stem):
        return False
    if path.suffix.casefold() in (".h5", ".hdf5") or re.search("dlc_|deepcut_|_superanimal_", stem):
        return True
    return looks_like_poses(path)


def looks_like_poses(path: Path) -> bool:
    """Does the header of a table say that it holds points?

    These are the header rows of DeepLabCut, or columns <part>_x and <part>_y.
    """
    try:
        rows = [[*map(folded, row)] for row in head_of(path, 8)]
    except UserError:
        return False
    if not rows:
        return False
    return _has_deeplabcut_header(rows) or _has_point_columns(rows)


def _has_deeplabcut_header(rows: Sequence[Sequence[str]]) -> bool:
    """Are there the header rows `bodyparts` and `coords` of DeepLabCut?"""
    first_cells: set[str] = set()
    for row in rows:
        first_cells.update(row[:6])
    has_parts = not first_cells.isdisjoint(("bodyparts", "bodypart"))
    has_coordinates = not first_cells.isdisjoint(("coords", "coord"))
    return has_parts and has_coordinates


def _has_point_columns(rows: Sequence[Sequence[str]]) -> bool:
    """Are there columns <part>_x and <part>_y, and no column of labels after them?"""
    header = rows[0]
    coordinates = defaultdict(set)
    for column in header:
        match = _COORDINATE.fullmatch(column)
        if match:
            coordinates[match["part"]].add(match["what"])
    if not any(len(both) == 2 for both in coordinates.values()):
        return False
    # A table of features and labels for another program also has points, and then 0 or 1.
    last_cells = {row[-1] for row in rows[1:] if len(row) == len(header)}
    ends_in_labels = bool(last_cells) and last_cells <= {"0", "1", "0.0", "1.0", "-1"}
    return not ends_in_labels or bool(_COORDINATE.fullmatch(header[-1]))


def recording_stem(pose: Path) -> str:
    """The name of the recording that a pose file tracks, if no video tells it.

    That is what precedes the tracker's own words, and follows the name of a SLEAP project.
    """
    for pattern in _RECORDING:
        match = pattern.fullmatch(pose.stem)
        if match is not None:
            stem = _without_video_suffix(match["stem"])
            return _PROJECT.split(stem)[-1] or stem
    return pose.stem


def _without_video_suffix(name: str) -> str:
    """`cage.mp4` and `cage` name one recording, as trackers write both."""
    suffix = Path(name).suffix
    return name.removesuffix(suffix) if suffix.casefold() in VIDEO_SUFFIXES else name


def stem_of(pose: Path, stems: Mapping[str, str]) -> str | None:
    """Which of some videos a pose file tracks: the one with the longest name that fits.

    `stems` maps `folded` names to names as they are written.
    """
    text = folded(pose.stem)
    # The name may begin after that of a SLEAP project.
    beginnings = [0, *(match.end() for match in _PROJECT.finditer(text))]
    fitting = []
    for begin in beginnings:
        for stop in range(len(text), begin, -1):
            stem = text[begin:stop]
            if stem in stems and _APPENDED.fullmatch(text[stop:]):
                fitting.append(stem)
    if not fitting:
        return None
    return stems[max(fitting, key=len)]


def find_poses(
    files: Iterable[Path], stems: Iterable[str], findings: list[Finding]
) -> dict[str, Path]:
    """The pose file of each recording, by the recording's stem.

    Of a table and an HDF5 file of one name the table is taken; of a filtered and an unfiltered file
    the filtered one. If files of different names track one recording, none is taken, and that is a
    finding.
    """
    chosen = {}
    for stem, candidates in _by_stem(files, stems).items():
        best = _best(stem, candidates, findings)
        if best is not None:
            chosen[stem] = best
    return chosen


def poses_of(
    videos: Sequence[Path], places: Sequence[Path], findings: list[Finding]
) -> dict[Path, Path]:
    """The pose file of each video, among the files in some places, tried in this order.

    A place is a folder with everything below it, or a file. Videos of one name take the pose in a
    folder of their own.
    """
    by_stem: dict[str, list[Path]] = defaultdict(list)
    for video in videos:
        by_stem[folded(video.stem)].append(video)
    chosen: dict[Path, Path] = {}
    doubtful: set[str] = set()
    for place in places:
        # Earlier places win, and a doubt in an earlier place is not settled by a later one.
        open_stems = []
        for stem, namesakes in by_stem.items():
            if stem not in doubtful and not chosen.keys() >= set(namesakes):
                open_stems.append(stem)
        for stem, files in _by_stem(pose_files_below([place]), open_stems).items():
            open_videos = [video for video in by_stem[stem] if video not in chosen]
            is_alone = len(by_stem[stem]) == 1
            best = _best_of_namesakes(open_videos, files, is_alone, findings)
            chosen |= {video: pose for video, pose in best.items() if pose is not None}
            if None in best.values():
                doubtful.add(stem)
    return chosen


def _best_of_namesakes(
    videos: Sequence[Path], files: Sequence[Path], is_alone: bool, findings: list[Finding]
) -> dict[Path, Path | None]:
    """The pose of each of some videos of one name, among files for that name; None in doubt.

    A video that is alone with its name may take any of the files.
    """
    best: dict[Path, Path | None] = {}
    for video in videos:
        candidates = list(files)
        if not is_alone:
            candidates = _beside(video, files)
        if candidates:
            best[video] = _best(video.stem, candidates, findings)
    if not best:
        findings.append(_fits_two_videos(files[0], videos[0]))
    return best


def _fits_two_videos(pose: Path, video: Path) -> Finding:
    what = f"{pose.name} may track {video} or another video of that name"
    remedy = "put each pose into a folder of the same name as its video's; no pose is used"
    return Finding("warning", str(pose), what, remedy, "two-videos")


def pose_places(
    roots: Iterable[Path], dlc: Path | None, others: Iterable[Path | None] = ()
) -> list[Path]:
    """Where the poses of videos are looked for, in this order.

    With --dlc, only there. Otherwise in the DLC/ next to the folders of videos, as these were named
    (`roots`), or next to `others` (label files), then in the folders of videos themselves.
    """
    if dlc is not None:
        return [dlc]
    folders = list(dict.fromkeys(root if root.is_dir() else root.parent for root in roots))
    homes: list[Path] = []
    for folder in folders:
        homes += [folder, home_of(folder)]
    homes += [home_of(other) for other in others if other is not None]
    return [*_dlc_folders(homes), *folders]


def _dlc_folders(homes: Iterable[Path]) -> list[Path]:
    """The DLC/ of each folder that has one, in any letter case, each once."""
    entries = [inside(home, "dlc") for home in homes]
    return list(dict.fromkeys(e for e in entries if e is not None and e.is_dir()))


def pose_of_video(video: Path, dlc: Path | None = None, roots: Sequence[Path] = ()) -> Path | None:
    """The pose file of a single video; None if there is none. Raises `UserError` for several.

    `roots` are folders that were named for videos; without them, the video's own folder counts.
    """
    if dlc is not None and dlc.is_file():
        return dlc
    # A folder that is gone must not stand for the folder above it, down to the whole disk.
    folders = [folder for folder in (*roots, video.parent) if folder.exists()]
    places = [place for place in pose_places(folders, dlc) if place.is_dir()]
    findings: list[Finding] = []
    # The other videos of the folder matter: a longer name may fit a pose file better.
    chosen = poses_of(list(dict.fromkeys([video, *_videos_in(video.parent)])), places, findings)
    if video in chosen:
        return chosen[video]
    doubts = [f for f in findings if f.where == video.stem or f.name == "two-videos"]
    if doubts:
        raise UserError(
            doubts[0].what, where=places[0], remedy="name the right one with --dlc FILE"
        )
    return None


def _videos_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if is_video(path)]


def pose_files_below(places: Iterable[Path]) -> list[Path]:
    """Pose files below some folders; a file that is named is taken as it is."""
    files: set[Path] = set()
    for place in places:
        if place.is_file():
            files.add(place)
        else:
            files.update(filter(is_pose_file, files_below(place)))
    return sorted(files)


def find_pose_files(places: Iterable[Path]) -> list[Path]:
    """One pose file for each recording among the given files and below the given folders, sorted.

    Raises `UserError` for a folder that does not exist, and if there is no pose file.
    """
    places = list(places)
    folders, files = [], []
    for place in places:
        if place.is_dir():
            folders.append(place)
        elif place.exists() or place.suffix.casefold() in POSE_SUFFIXES:
            files.append(place)  # a missing file is an error of its own, when it is read
        else:
            raise UserError("there is no such folder", where=place)
    files += pose_files_below(folders)
    poses = find_poses(files, [recording_stem(file) for file in files], [])
    if not poses:
        where = next(iter(places), Path())
        raise UserError("no pose file here (looked for <recording>DLC_*.csv or .h5)", where=where)
    return sorted(poses.values())


def home_of(folder: Path) -> Path:
    """The parent of a folder, as it was named: links are not followed."""
    if folder.name in ("", ".."):  # then `parent` would not be one level up
        folder = Path(os.path.normpath(Path.cwd() / folder))
    return folder.parent


def _by_stem(files: Iterable[Path], stems: Iterable[str]) -> dict[str, list[Path]]:
    """The files that track each recording, by the recording's stem."""
    written = {folded(stem): stem for stem in stems}
    files_of: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        stem = stem_of(file, written)
        if stem is not None:
            files_of[stem].append(file)
    return files_of


def _best(stem: str, candidates: Sequence[Path], findings: list[Finding]) -> Path | None:
    """The file to take of those that track a recording; None, and a finding, if that is unclear."""
    filtered = [f for f in candidates if f.stem.casefold().endswith("_filtered")]
    best = filtered or list(candidates)
    if len({folded(f.stem) for f in best}) > 1:
        what = f"{best[0].name} and {best[1].name} both track this recording"
        remedy = "keep one, or name a folder with --dlc; no pose is used"
        findings.append(Finding("warning", stem, what, remedy, "two-poses"))
        return None
    return min(best, key=lambda f: POSE_SUFFIXES.index(f.suffix.casefold()))


def _beside(video: Path, files: Sequence[Path]) -> list[Path]:
    """Poses in the video's own folder or, if there are none, in a folder of the same name."""
    here = [f for f in files if f.parent == video.parent]
    own_name = video.parent.name.casefold()
    return here or [f for f in files if f.parent.name.casefold() == own_name]
