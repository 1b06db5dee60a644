"""Annotations of the Caltech Behavior Annotator."""

import numpy as np
import pytest

from dolorim.core.errors import UserError
from dolorim.labels.caltech import read_caltech
from dolorim.labels.trials import place_trials
from ethograms import unmerged

RAT = unmerged(["base", "aggression", "freezing", "lateralthreat", "keepdown", "chase",
"uprightposture", "social",
                "bite", "nonsocial", "clinch"])  # fmt: skip
HEAD = "Caltech Behavior Annotator - Annotation File\n\nConfiguration file:\nbase\tz\n\n"


def annotated(folder, *streams):
    """A file with these streams, each a list of (first, last, behavior)."""
    blocks = []
    for i, rows in enumerate(streams, 1):
        body = "".join(f"   \t{a}\t{b}\t{name}\n" for a, b, name in rows)
        blocks.append(f"S{i}:\tstart\tend\ttype\n-----------------------------\n{body}  \n")
    path = folder / "v_annot.txt"
    path.write_text(HEAD + "".join(blocks), "utf-8")
    return path


def test_frames_count_from_1_and_both_ends_are_part_of_a_bout(tmp_path):
    file = read_caltech(annotated(tmp_path, [(2, 3, "social"), (4, 4, "base")]), RAT)
    assert file.counted_from_zero(360, 15).frames.tolist() == [0, 1, 2, 3]
    assert file.labels.tolist() == [-1, 7, 7, 0]


def test_a_stream_is_chosen_by_its_name(tmp_path):
    path = annotated(tmp_path, [(1, 2, "base")], [(1, 1, "bite")])
    assert read_caltech(path, RAT, "s2").labels.tolist() == [8]
    with pytest.raises(UserError, match=r"no stream is called S3; there are S1, S2"):
        read_caltech(path, RAT, "S3")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(1, 2, "sniff")], "line 8: no class is called 'sniff'"),
        (
            [(1, 5, "base"), (4, 9, "bite")],
            "2 frames have two behaviors at once, the first is frame 3",
        ),
        ([(5, 4, "base")], "line 8: expected frames from 1 on, in order, found 5 to 4"),
        ([(0, 4, "base")], "line 8: expected frames from 1 on"),
        ([("x", 4, "base")], "line 8: expected first frame, last frame and behavior"),
        ([(1, 999999999, "base")], "labels frame 999999999, which no video has"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_line(tmp_path, rows, message):
    with pytest.raises(UserError, match=message):
        read_caltech(annotated(tmp_path, rows), RAT)


def test_real_annotations_label_every_frame_up_to_their_end(real_data):
    files = [
        read_caltech(p, RAT)
        for p in sorted((real_data / "social_rat" / "annotations").glob("*.txt"))
    ]
    assert len(files) == 40
    assert min(np.mean(f.labels >= 0) for f in files) > 0.99
    placement = place_trials([files[0].counted_from_zero(360, 15)], len(files[0].labels))
    assert placement.labels.tolist() == files[0].labels.tolist()
