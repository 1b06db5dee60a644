"""Keypoint names of other labs: matched however they are spelled, never to another part of the
animal."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dolorim.core.errors import UserError
from dolorim.pose.keypoints import (
    KEYPOINTS,
    SPELLINGS,
    match_keypoints,
    parse_kp_names,
    with_our_names,
)
from dolorim.pose.pose import Pose
from dolorim.pose.read import read_pose


def matched(names, **how):
    return {m.ours: m.theirs for m in match_keypoints(names, **how)}


@pytest.mark.parametrize(
    "names",
    [
        KEYPOINTS,
        ("MOUTH", "l_FrontPaw", "r frontpaw", "L-hindpaw", "RHindpaw", "tail base"),
        ("Nose", "Front Paw L", "Front Paw R", "Hind Paw L", "Hind Paw R", "Tail Base"),
        (
            "snout",
            "left front paw",
            "right front paw",
            "left hind paw",
            "right hind paw",
            "tailbase",
        ),
        ("snout", "leftForePaw", "rightForePaw", "leftRearPaw", "rightRearPaw", "tail_root"),
        ("Nose", "Forehand-Left", "Forehand-Right", "Hindhand-Left", "Hindhand-Right", "Tailroot"),
        (
            "nose",
            "paw (front, left)",
            "paw (front, right)",
            "paw (back, left)",
            "paw (back, right)",
            "base_of_tail",
        ),
        ("snout", "forefoot.l", "forefoot.r", "hindfoot.l", "hindfoot.r", "TailBase"),
    ],
)
def test_the_six_are_found_however_they_are_spelled_and_wherever_they_stand(names):
    others = ["left_ear", "spine1", "tail_tip"]
    assert matched([*others, *reversed(names)]) == dict(zip(KEYPOINTS, names, strict=True))


def test_every_spelling_tells_left_from_right_and_front_from_hind():
    for spelling, ours in SPELLINGS.items():
        if ours.endswith("paw"):
            left = bool(re.search("left", spelling)) or bool(
                re.search("(^|paw|foot|hand|front|fore|hind|rear|back)l", spelling)
            )
            assert left == ours.startswith("L"), spelling
            assert bool(re.search("front|fore", spelling)) == ("front" in ours), spelling
            assert bool(re.search("hind|back|rear", spelling)) == ("hind" in ours), spelling
    assert len(SPELLINGS) == 7 + 7 + 2 * 2 * 3 * 6 * (2 + 3)


@pytest.mark.parametrize(
    "name",
    ["left_ear", "L_paw", "frontpaw", "FL", "tail", "tail1", "tail_tip", "tailbase2",
    "L_frontpaw_tip",
     "left_front_leg", "L_frontpaw2", "nose2",
     "nosebridge", "mouth_left", "B_Nose", "LR_hindpaw", "l_front_hind_paw", "head", "wrist_L"],
)  # fmt: skip
def test_a_name_that_may_be_another_part_is_not_matched(name):
    for missing in KEYPOINTS:
        names = [n for n in KEYPOINTS if n != missing]
        with pytest.raises(
            UserError, match=f"no keypoint matches {missing}; it has .*{re.escape(name)}"
        ):
            match_keypoints([*names, name])


def test_the_very_name_wins_over_a_synonym():
    assert matched(["nose", *KEYPOINTS])["mouth"] == "mouth"


def test_two_names_that_would_do_are_an_error_that_names_both():
    names = ["nose", "snout", *KEYPOINTS[1:]]
    with pytest.raises(
        UserError,
        match=r"v\.csv: both nose and snout could be mouth; say which with --kp_names nose=mouth",
    ):
        match_keypoints(names, where="v.csv")
    assert matched(names, given={"snout": "mouth"})["mouth"] == "snout"


def test_what_is_given_goes_before_what_would_be_found_and_is_not_used_twice():
    names = ["mouth", "chin", *KEYPOINTS[1:]]
    assert matched(names, given={"Chin": "mouth"})["mouth"] == "chin"
    with pytest.raises(UserError, match="no keypoint matches mouth"):
        match_keypoints(KEYPOINTS, given={"mouth": "tail_base"})


@pytest.mark.parametrize(
    ("given_names", "message"),
    [
        ({"chin": "mouth"}, "v.csv has no keypoint chin; it has mouth, L_frontpaw, "),
        ({"mouth": "beak"}, "no keypoint is called beak; there are mouth, L_frontpaw, "),
        ({"mouth": "mouth", "Mouth": "tail_base"}, "two names of v.csv mean the same keypoint"),
    ],
)
def test_a_given_name_that_is_not_there_is_an_error_that_lists_those_that_are(given_names, message):
    with pytest.raises(UserError, match=message):
        match_keypoints(KEYPOINTS, given=given_names, where="v.csv")


def test_other_skeletons_are_matched_by_their_own_names():
    names = ["Top", "body", "tail-m"]
    assert matched(names, wanted=["tail_m", "top"]) == {"tail_m": "tail-m", "top": "Top"}


def test_a_map_is_written_as_theirs_equals_ours():
    assert parse_kp_names(" Front Paw=L_frontpaw, a=b=mouth,") == {
        "Front Paw": "L_frontpaw",
        "a=b": "mouth",
    }
    for text in ("mouth", "=mouth", "nose=", "a=mouth,b=mouth", "a=mouth,a=tail_base"):
        with pytest.raises(UserError, match="kp_names: "):
            parse_kp_names(text)


@given(
    st.permutations(range(6)), st.lists(st.text(min_size=1, max_size=5), unique=True, max_size=3)
)
def test_a_pose_keeps_each_points_numbers_under_its_name(order, others):
    others = [o for o in others if o not in KEYPOINTS]
    names = [KEYPOINTS[i] for i in order] + others
    points = np.arange(1.0, 2 * len(names) + 1).reshape(1, -1, 2)
    pose, matches = with_our_names(Pose(tuple(names), points))
    assert pose.names == KEYPOINTS
    for match in matches:
        np.testing.assert_array_equal(pose.xy(match.ours), points[:, names.index(match.theirs)])
        assert str(match) == match.ours


def test_what_was_matched_is_said_with_how():
    match = match_keypoints(["Snout", *KEYPOINTS[1:]])[0]
    assert str(match) == "mouth = Snout (synonym)"


def test_the_real_bottom_view_pose_has_all_six(real_data):
    pose, matches = with_our_names(
        read_pose(real_data / "bottomview_pose/cropped_videoDLC_resnet50_vame.csv")
    )
    assert [m.theirs for m in matches] == [
        "Nose", "Forehand-Left", "Forehand-Right", "Hindhand-Left", "Hindhand-Right", "Tailroot"
    ]  # fmt: skip
    assert pose.points.shape == (750, 6, 2)


def test_the_real_top_view_pose_has_not_and_its_names_are_listed(real_data):
    pose = read_pose(
        real_data / "openfield_keypoints/m3v1mp4DLC_resnet50_openfieldOct30shuffle1_6000.csv"
    )
    with pytest.raises(
        UserError,
        match=r"matches L_frontpaw, .*; it has snout, leftear, rightear, tailbase; name them",
    ):
        with_our_names(pose)
