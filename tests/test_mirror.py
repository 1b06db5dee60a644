"""Which side a name says, what a mirror makes of it, and that nothing is mirrored that has no name
in the mirror."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dolorim.config import Config
from dolorim.core.mirror import mirrored_order, side_of, without_partner
from dolorim.dataset.augmentation import settle
from dolorim.pose.keypoints import KEYPOINTS

PAIRS = [
    ("lick_L", "lick_R"), ("LickLeft", "LickRight"), ("lickL", "lickR"), ("leftPaw", "rightPaw"),
    ("left paw", "right paw"), ("leftpaw", "rightpaw"), ("hindpawleft", "hindpawright"),
    ("Lpaw", "Rpaw"),
    ("LPaw", "RPaw"), ("paw.L", "paw.R"), ("LHP", "RHP"), ("LFP", "RFP"), ("lhp", "rhp"),
    ("FLP", "FRP"),
    ("LeftHindPaw", "RightHindPaw"), ("FL_paw", "FR_paw"), ("turn_cw", "turn_ccw"),
    ("TurnClockwise", "TurnCounterClockwise"), ("L1", "R1"), ("TatzéL", "TatzéR"),
]  # fmt: skip


@pytest.mark.parametrize("pair", PAIRS)
def test_a_mirror_exchanges_the_two_sides_however_they_are_spelled(pair: tuple[str, str]) -> None:
    names = ("rest", *pair, "walk")
    assert mirrored_order(names) == (0, 2, 1, 3)
    assert without_partner(names) == ()


@pytest.mark.parametrize("pair", PAIRS)
def test_a_side_whose_other_one_has_no_name_is_known(pair: tuple[str, str]) -> None:
    for name in pair:
        assert without_partner(("rest", name, "walk")) == (name,)


@pytest.mark.parametrize(
    "names",
    [
        ("FL", "FR", "HL", "HR"), ("LF", "RF", "LH", "RH"), ("bl", "br", "fl", "fr"),
    ],
)  # fmt: skip
def test_two_letters_are_paws_where_all_four_are_there(names: tuple[str, ...]) -> None:
    assert mirrored_order((*names, "nose")) == (1, 0, 3, 2, 4)


@pytest.mark.parametrize(
    "names",
    [
        (
            "rest",
            "walk",
            "rear",
            "level",
            "upright",
            "righting",
            "lateral",
            "Leftover",
            "allogroom",
            "freeze",
        ),
        ("FL", "FR", "groom"),  # flinch and freeze, for all we know
        ("rear", "ear", "earth", "cleft", "bright", "left and right paw"),
        ("paw_lick", "paw_guard", "flinch", "active"),
    ],
)
def test_other_words_say_no_side(names: tuple[str, ...]) -> None:
    assert mirrored_order(names) == tuple(range(len(names)))
    assert without_partner(names) == ()
    assert {side_of(name, names) for name in names} == {None}


def test_to_rear_is_to_stand_up_unless_there_is_a_left_ear() -> None:
    assert mirrored_order(("rear", "lear")) == (1, 0)
    assert side_of("rear") is None


def test_spellings_of_one_pair_may_differ() -> None:
    assert mirrored_order(("LickLeft", "lick right", "hindpaw_L", "HindpawR")) == (1, 0, 3, 2)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from([name for pair in PAIRS for name in pair]), unique=True, max_size=12)
)
def test_the_mirror_image_of_a_mirror_image_is_the_thing_itself(names: list[str]) -> None:
    order = mirrored_order(names)
    assert [order[i] for i in order] == list(range(len(names)))


@pytest.mark.parametrize(
    ("classes", "keypoints"),
    [
        (("rest", "lick_L"), KEYPOINTS),
        (
            ("rest", "lick_ipsi", "lick_contra"),
            KEYPOINTS,
        ),  # of an animal in the mirror nobody knows the treated side
        (("rest", "walk"), ("mouth", "L_hindpaw", "tail_base")),
        (("rest", "LickLeft"), ()),
    ],
)
def test_nothing_is_mirrored_where_a_side_has_no_partner(
    classes: tuple[str, ...], keypoints: tuple[str, ...]
) -> None:
    changes, told = settle(Config(), classes, keypoints)
    assert changes.aug_flip == 0
    assert "no window is mirrored" in told[0]


def test_where_all_sides_have_partners_windows_are_mirrored_as_asked() -> None:
    changes, told = settle(Config(), ("rest", "lick_L", "lick_R"), KEYPOINTS)
    assert changes == Config().augment
    assert told == []


def test_a_window_that_the_heading_has_turned_upright_stays_upright() -> None:
    config = Config()
    aligned = dataclasses.replace(
        config, data=dataclasses.replace(config.data, crop="pose", align="heading")
    )
    assert settle(config, ("a", "b"), ())[0].aug_rotate == 1.0
    assert 360 * settle(aligned, ("a", "b"), ())[0].aug_rotate / 2 <= 10  # degrees to either side
