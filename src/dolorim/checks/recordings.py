"""The preflight: what the files of a project hold, what does not fit together, and what to do about it.

`examine` looks at one recording, decoding its video once in constant memory; the other functions join what was found.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dolorim.checks import poses as pose_check
from dolorim.checks.alignment import Lag, LagEstimator
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.core.findings import Finding
from dolorim.dataset.study import Source, Study
from dolorim.labels.bouts import to_bouts
from dolorim.labels.ethogram import Ethogram
from dolorim.labels.gaps import gap_candidate, warn_of_gaps
from dolorim.labels.trials import Placement
from dolorim.pose.pose import Pose
from dolorim.pose.pose_track import PoseTrack, lay
from dolorim.video.picture_size import describe_sizes
from dolorim.video.reader import FrameStream, VideoInfo, probe, promised_frames

_BOUTS, _ANIMALS = (
    10,
    3,
)  # of a class, at least: one animal to learn from, to choose by, and to score on
_ALIKE = 1.2  # rates and body lengths that differ by more are not of one kind
_LONGER = 1.5  # an animal is not this much longer than itself
_ONE_VALUE = (
    "group",
    "sex",
    "genotype",
    "strain",
    "line",
)  # columns that have one value for an animal


@dataclass(frozen=True)
class Examined:
    """What the files of one recording hold. What is None is not there, or could not be read.

    `time_s` `(n_frames,)` is when each frame is shown. `promised` is given for a video that stops being readable and is
    to be used all the same: the frames that its header claims.
    """

    n_frames: int = 0
    time_s: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False, compare=False)
    promised: int | None = None
    header_frames: int | None = None
    rate_hz: float | None = None
    constant_rate: bool | None = None
    width_px: int | None = None
    height_px: int | None = None
    pose_rows: int | None = None
    keypoints: str = ""
    missing: float | None = None
    body_length_px: float | None = None
    lag: Lag | None = None
    from_below: bool | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Row:
    """One line of the table: a recording with its labels laid on it."""

    source: Source
    found: Examined
    placement: Placement | None = None

    @property
    def name(self) -> str:
        return self.source.name


def examine(video: Path | None, pose: Path | None, config: DataConfig) -> Examined:
    """Look at the files of one recording. What cannot be read is a finding."""
    findings: list[Finding] = []
    found = Examined()
    poses: tuple[Pose, ...] = ()
    track: PoseTrack | None = None
    if pose is not None:
        try:
            poses = pose_check.read_to_check(pose, config, findings)
            found = replace(
                found, pose_rows=len(poses[0]), keypoints=pose_check.found_keypoints(poses)
            )
            track = lay(poses, config, config.rate_hz)
            missing = float(1 - (track.since_seen == 0).mean()) if track.since_seen.size else 1.0
            found = replace(found, missing=missing, body_length_px=track.length_px)
        except UserError as error:
            findings.append(Finding.from_error(error, "pose-unreadable", pose))
    if video is None:
        rows = found.pose_rows or 0
        found = replace(
            found, n_frames=rows, time_s=np.arange(rows) / config.rate_hz, rate_hz=config.rate_hz
        )
    else:
        try:
            found = _watch(video, track, found, config, findings)
        except UserError as error:
            findings.append(Finding.from_error(error, "video-unreadable", video))
    if pose is not None and poses:
        findings += _check_pose(str(pose), poses, track, found, config, video is not None)
        shares = pose_check.sides(poses[0], config.kp_likelihood_thr)
        found = replace(found, from_below=pose_check.from_below(shares))
    return replace(found, findings=tuple(findings))


def _watch(
    video: Path,
    track: PoseTrack | None,
    found: Examined,
    config: DataConfig,
    findings: list[Finding],
) -> Examined:
    """Decode a video to its end."""
    info = probe(video)
    stream = FrameStream(video)
    estimator = None if track is None else LagEstimator(track.points, track.length_px)
    times = array("d")
    for frame in stream:
        times.append(frame.time_s)
        if estimator is not None and estimator.wants(frame.index):
            estimator.look(frame)
    time_s = np.array(times)
    rate, constant = _rate(time_s, info)
    promised = promised_frames(info, stream.decoded, stream.damage is not None)
    findings += check_video(str(video), info, stream, constant, config.allow_damaged)
    return replace(
        found,
        n_frames=stream.decoded,
        time_s=time_s,
        promised=promised if config.allow_damaged else None,
        header_frames=info.header_frames,
        rate_hz=rate,
        constant_rate=constant,
        width_px=info.width_px,
        height_px=info.height_px,
        lag=estimator.estimate() if estimator else None,
    )


def check_video(
    where: str, info: VideoInfo, stream: FrameStream, constant: bool, allow_damaged: bool
) -> list[Finding]:
    """What is odd about a video that has been decoded to its end."""
    found: list[Finding] = []
    if stream.damage:
        remedy = "copy it again from its source, or use what decodes with --allow_damaged"
        found.append(
            Finding(
                "warning" if allow_damaged else "error",
                where,
                str(stream.damage),
                remedy,
                "damaged",
            )
        )
    if info.header_frames != stream.decoded:
        what = f"its header claims {info.header_frames} frames, and {stream.decoded} decode"
        remedy = "labels and poses made by what believes the header may be shifted"
        found.append(
            Finding("warning" if info.header_frames else "note", where, what, remedy, "header")
        )
    if not constant:
        what = (
            "frames do not follow one another at a constant rate; times are taken from each frame"
        )
        found.append(Finding("note", where, what, name="variable-rate"))
    if (changes := describe_sizes(stream.sizes)) is not None:
        what, _, remedy = changes.rpartition("; ")
        found.append(Finding("warning", where, what, remedy, "size-changes"))
    return found


def _rate(times: np.ndarray, info: VideoInfo) -> tuple[float, bool]:
    steps = np.diff(times)
    if len(steps) == 0 or times[-1] <= times[0]:
        return info.header_rate_hz, True
    usual = float(np.median(steps))
    return len(steps) / float(times[-1] - times[0]), float(
        np.abs(steps - usual).max()
    ) < 0.1 * usual


def _check_pose(
    where: str,
    poses: Sequence[Pose],
    track: PoseTrack | None,
    found: Examined,
    config: DataConfig,
    has_video: bool,
) -> list[Finding]:
    findings: list[Finding] = []
    threshold = config.kp_likelihood_thr
    lag = found.lag.frames if found.lag else None
    if has_video and found.n_frames:
        late = None if lag is None else lag + config.pose_lag
        cut = found.promised is not None
        findings += pose_check.check_rows(where, len(poses[0]), found.n_frames, late, cut)
        findings += pose_check.check_lag(where, lag, config.pose_lag)
    for pose in poses:
        who = f"{where}, {pose.individual}" if len(poses) > 1 else where
        findings += pose_check.check_likelihood(who, pose, threshold)
        if found.width_px and found.height_px:
            findings += pose_check.check_picture(
                who, pose, threshold, found.width_px, found.height_px
            )
        if track is not None:
            findings += pose_check.check_swaps(who, pose, threshold, track.length_px)
        findings += pose_check.check_sides(who, pose_check.sides(pose, threshold))
    return findings


def place(
    source: Source, found: Examined, project: Study, config: DataConfig
) -> tuple[Row, list[Finding]]:
    """Lay a recording's labels on its frames, and say what does not fit."""
    if not source.labels or not found.n_frames:
        return Row(source, found), []
    try:
        recording, placement = project.place(source, found.time_s, config, found.promised)
    except UserError as error:
        where = error.where if error.name else source.file
        return Row(source, found), [
            Finding.from_error(error, error.name or "trial-layout", where)
        ]
    findings = list(placement.findings)
    for reason in placement.skipped:
        where, _, what = reason.partition(": ")
        remedy = "left out; is it the right video, and whole?"
        findings.append(Finding("warning", where, what, remedy, "trial-skipped"))
    labelled = np.flatnonzero(recording.labels >= 0)
    gaps = found.n_frames - len(labelled)
    if gaps:
        what = f"{gaps} of {found.n_frames} frames are not labelled ({100 * gaps / found.n_frames:.0f} %)"
        findings.append(
            Finding("note", source.name, what, "they are neither learned nor scored", "unlabelled")
        )
    if source.video and found.pose_rows is not None and len(labelled):
        beyond = int(labelled[-1]) + 1 - (found.pose_rows - config.pose_lag)
        if beyond > 0:
            what = f"the labels end {beyond} frames after the pose"
            findings.append(
                Finding("warning", source.name, what, "track the whole video", "labels-beyond-pose")
            )
    return Row(source, found, placement), findings


@dataclass(frozen=True)
class ClassCount:
    frames: int
    bouts: int
    animals: int


def count_classes(rows: Iterable[Row], ethogram: Ethogram) -> dict[str, ClassCount]:
    """Frames, bouts and animals of each class."""
    frames, bouts = np.zeros(len(ethogram), int), np.zeros(len(ethogram), int)
    animals: list[set[str]] = [set() for _ in ethogram.classes]
    for row in rows:
        if row.placement is not None:
            for bout in to_bouts(row.placement.labels):
                frames[bout.label] += len(bout)
                bouts[bout.label] += 1
                animals[bout.label].add(row.source.animal)
    zipped = zip(ethogram.classes, frames.tolist(), bouts.tolist(), animals, strict=True)
    return {name: ClassCount(n, b, len(a)) for name, n, b, a in zipped}


def check_project(
    rows: Sequence[Row], counts: Mapping[str, ClassCount], ethogram: Ethogram, config: DataConfig
) -> list[Finding]:
    """What does not fit between the recordings of a project."""
    open_shares = {
        r.name: r.placement.open_share for r in rows if r.placement and r.placement.lists_bouts
    }
    asked = not config.label_gaps and any(open_shares.values())
    return [
        *warn_of_gaps(open_shares, config.label_gaps, ethogram),
        *check_classes(
            counts, len({r.source.animal for r in rows}), gap_candidate(ethogram), asked
        ),
        *check_animals(rows),
        *check_likeness(rows),
        *check_duplicates([r.source.video for r in rows if r.source.video]),
        *check_duplicates([r.source.pose for r in rows if r.source.pose]),
    ]


def check_classes(
    counts: Mapping[str, ClassCount], animals: int, rest: str | None = None, gaps: bool = False
) -> list[Finding]:
    """Can each class be learned, and the score be believed?

    `gaps` says that files which list bouts leave frames open, perhaps those of the class `rest`: then a class that is
    never labelled may well be there, and must not be dropped.
    """
    if not any(c.frames for c in counts.values()):
        return [
            Finding(
                "note",
                "labels",
                "no frame is labelled",
                "name the label files with --annotations",
                "no-labels",
            )
        ]
    found = []
    if animals < _ANIMALS:
        what = f"{animals} animal{'s' * (animals > 1)}; to learn, to choose and to score take {_ANIMALS} at least"
        found.append(
            Finding(
                "warning",
                "animals",
                what,
                "name them in recordings.csv, or film more",
                "few-animals",
            )
        )
    for name, count in counts.items():
        what = f"bouts: {count.bouts}, of animals: {count.animals}"
        if not count.bouts:
            remedy = "leave it out of the ethogram"
            if gaps:
                remedy = "label it where it occurs"
            if gaps and name == rest:
                remedy = f"if the frames between the bouts are {name}, add --label_gaps {name}"
            found.append(Finding("warning", name, "is never labelled", remedy, "class-absent"))
        elif count.bouts < _BOUTS or count.animals < min(_ANIMALS, animals):
            remedy = f"label more ({_BOUTS} bouts of {_ANIMALS} animals at least), or merge it"
            found.append(Finding("warning", name, what, remedy, "few-bouts"))
    return found


def check_animals(rows: Sequence[Row]) -> list[Finding]:
    """Is each animal one animal, with one id?"""
    found = []
    spellings: dict[str, set[str]] = defaultdict(set)
    of: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        spellings["".join(c for c in row.source.animal.casefold() if c.isalnum()).lstrip("0")].add(
            row.source.animal
        )
        of[row.source.animal].append(row)
    for names in spellings.values():
        if len(names) > 1:
            what = f"{' and '.join(sorted(names))} look like one animal with several ids"
            found.append(
                Finding(
                    "warning",
                    "animals",
                    what,
                    "spell it alike: it may be learned and scored",
                    "two-ids",
                )
            )
    for animal, its in of.items():
        for column in _ONE_VALUE:
            values = sorted(
                {
                    v
                    for r in its
                    for k, v in r.source.columns.items()
                    if k.casefold() == column and v
                }
            )
            if len(values) > 1:
                what = f"has {column} {' and '.join(values)}; two animals with one id?"
                found.append(Finding("warning", animal, what, "mend recordings.csv", "one-id"))
        lengths = {
            (r.found.width_px, r.found.height_px): [
                s.found.body_length_px
                for s in its
                if s.found.width_px == r.found.width_px and s.found.body_length_px
            ]
            for r in its
        }
        for same in lengths.values():
            if same and max(same) > _LONGER * min(same):
                what = f"is {min(same):.0f} to {max(same):.0f} px long in pictures of one size; two animals with one id?"
                found.append(
                    Finding(
                        "warning",
                        animal,
                        what,
                        "mend recordings.csv, or look at the poses",
                        "one-id",
                    )
                )
    return found


def check_likeness(rows: Sequence[Row]) -> list[Finding]:
    """Are all recordings of one kind?"""
    found = []
    rates = {r.name: r.found.rate_hz for r in rows if r.found.rate_hz}
    if rates:
        usual = float(np.median([*rates.values()]))
        odd = {n: r for n, r in rates.items() if max(r / usual, usual / r) > _ALIKE}
        for name, rate in odd.items():
            what = f"{rate:.4g} frames/s, the others about {usual:.4g}"
            found.append(
                Finding(
                    "warning",
                    name,
                    what,
                    "a clip of so many frames lasts another time",
                    "rates-differ",
                )
            )
    seen = {r.name: r.found.from_below for r in rows if r.found.from_below is not None}
    below = [n for n, b in seen.items() if b]
    above = [n for n, b in seen.items() if not b]
    for name in above if len(below) >= len(above) else below:
        if below and above:
            what = "left and right paws lie the other way round than in most recordings"
            found.append(
                Finding(
                    "warning",
                    name,
                    what,
                    "was it mirrored, or are the names exchanged?",
                    "sides-differ",
                )
            )
    if above and not below:
        what = "left paws lie where a camera above, or a mirrored picture, shows them"
        found.append(Finding("note", "poses", what, "nothing to do if all are so", "from-above"))
    return found


def check_duplicates(files: Iterable[Path]) -> list[Finding]:
    """Do two names stand for one content?"""
    by_size: dict[int, list[Path]] = defaultdict(list)
    for file in dict.fromkeys(files):
        if file.is_file():
            by_size[file.stat().st_size].append(file)
    found = []
    for several in by_size.values():
        if len(several) > 1:
            contents: dict[str, Path] = {}
            for file in several:
                with file.open("rb") as opened:
                    digest = hashlib.file_digest(opened, "sha256").hexdigest()
                first = contents.setdefault(digest, file)
                if first != file:
                    what = f"has the same content as {first.name}"
                    found.append(
                        Finding(
                            "error",
                            str(file),
                            what,
                            "one of the two names is wrong; remove it",
                            "duplicate",
                        )
                    )
    return found
