"""Are points of which a tracker is only half sure wrong? In real DeepLabCut files: how far they
lie from where the points around them suggest.

    python -m benchmarks.likelihood

A point is compared with the straight line between the nearest points before and after it that the
tracker is sure of (above 0.95), where these are at most 8 frames apart; its distance from that line
is given in body lengths. The truth is unknown: a moving paw is off its line, too, as the column of
the surest points shows.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np

from benchmarks.common import RESULTS, machine, real_data
from dolorim.pose.cleaning import gate
from dolorim.pose.features import skeleton_scale_px
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_poses

EDGES = (0.0, 0.3, 0.6, 0.9, 0.99, 1.0)
SURE, NEAR, FAR = 0.95, 8, 0.15  # likelihood, frames, body lengths
FILES = (
    "cfa_sample/DLC/*.csv",
    "bottomview_pose/*.csv",
    "openfield_keypoints/*.csv",
    "formats/**/DLC_*.csv",
)


def main() -> None:
    text = [
        "# Points of which a tracker is only half sure", "",
        f"`python -m benchmarks.likelihood`; {machine()}", "",
        "By likelihood: share of all points, and how many of those between two sure ones "
        f"(above {SURE}, at most {NEAR} frames apart) lie more than {FAR} body lengths off "
        "the line between them.", "",
        "| file | " + " | ".join(f"{low:g} to {high:g}" for low,
        high in itertools.pairwise(EDGES)) + " |",
        "|---" * len(EDGES) + "|",
    ]  # fmt: skip
    rows = {}
    for path in paths():
        pose = read_poses(path)[0]
        rows[path.name] = row = of(pose)
        cells = (f"{100 * share:.1f} %: {n_far} of {n}" for share, n_far, n in row)
        text.append(
            f"| {path.parts[path.parts.index('data') + 1]}, {len(pose.points)} frames | "
            f"{' | '.join(cells)} |"
        )
    shares = [
        bins(p)
        for path in sorted(real_data("social_rat").glob("DLC/*.csv"))
        for p in read_poses(path)
    ]
    counts = np.sum(shares, 0)
    cells = (f"{100 * share:.1f} %" for share in counts / counts.sum())
    text.append(
        f"| social_rat, {len(shares) // 2} recordings, shares alone | {' | '.join(cells)} |"
    )
    (RESULTS / "likelihood.json").write_text(
        json.dumps({**machine(), "edges": EDGES, "files": rows}, indent=1) + "\n"
    )
    (RESULTS / "likelihood.md").write_text("\n".join(text) + "\n", "utf-8")
    print("\n".join(text))


def paths() -> list[Path]:
    folder = real_data("cfa_sample").parent
    return [p for pattern in FILES for p in sorted(folder.glob(pattern))]


def of(pose: Pose) -> list[tuple[float, int, int]]:
    """For every bin of likelihood: its share of the points, how many are far off, and how many
    could be compared."""
    assert pose.likelihood is not None
    known = np.where(gate(pose, 0.9)[..., None], pose.points, np.nan)
    scale = skeleton_scale_px(known[:, None])
    by_bin: list[list[float]] = [[] for _ in EDGES[1:]]
    for k in range(len(pose.names)):
        points, likelihood = pose.points[:, k], pose.likelihood[:, k]
        sure = np.flatnonzero(~pose.missing[:, k] & (likelihood > SURE))
        for t in np.flatnonzero(~pose.missing[:, k]):
            before, after = sure[sure < t][-1:], sure[sure > t][:1]
            if len(before) and len(after) and after[0] - before[0] <= NEAR:
                a, b = points[before[0]], points[after[0]]
                line = a + (b - a) * (t - before[0]) / (after[0] - before[0])
                by_bin[bin_of(likelihood[t])].append(float(np.hypot(*(points[t] - line))) / scale)
    counts = bins(pose)
    far = [sum(off > FAR for off in offs) for offs in by_bin]
    return [
        (n / counts.sum(), f, len(offs)) for n, f, offs in zip(counts, far, by_bin, strict=True)
    ]


def bin_of(likelihood: float) -> int:
    return min(int(np.searchsorted(EDGES, likelihood, "right")), len(EDGES) - 1) - 1


def bins(pose: Pose) -> np.ndarray:
    """Points in each bin of likelihood."""
    assert pose.likelihood is not None
    return np.histogram(pose.likelihood[~pose.missing], EDGES)[0]


if __name__ == "__main__":
    main()
