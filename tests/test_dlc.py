"""DeepLabCut tables."""

import csv
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from dolorim.pose.write_dlc import write_dlc

pixels = st.floats(-1e4, 1e4)


@settings(deadline=None)
@given(
    hnp.arrays(float, st.tuples(st.integers(1, 6), st.integers(1, 4), st.just(3)), elements=pixels)
)
def test_a_pose_file_has_three_header_rows_and_then_a_frame_a_row_with_every_digit(table):
    names = [f"paw {i}" for i in range(table.shape[1])]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "vDLC_net.csv")
        write_dlc(path, "net", names, table[..., :2], table[..., 2])
        rows = list(csv.reader(path.read_text("utf-8").splitlines()))
    assert rows[0] == ["scorer"] + ["net"] * 3 * len(names)
    assert rows[1] == ["bodyparts"] + [n for n in names for _ in range(3)]
    assert rows[2] == ["coords"] + ["x", "y", "likelihood"] * len(names)
    numbers = np.array(rows[3:], float)
    assert numbers[:, 0].tolist() == list(range(len(table)))
    np.testing.assert_array_equal(numbers[:, 1:].reshape(table.shape), table)
