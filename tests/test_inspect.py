"""One look at a video tells what it really holds."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dolorim.checks.inspect import contact_sheet, look_at
from dolorim.cli import main
from dolorim.config import DataConfig
from dolorim.core.errors import UserError
from dolorim.simulate.mouse import Mouse
from videos import mouse_film, numbered, write_film


def test_a_look_tells_the_frames_that_decode_beside_those_that_the_header_claims(tmp_path):
    path = write_film(tmp_path / "a.mp4", numbered(40), rate=25, options={"bf": "0"})
    seen = look_at(path, DataConfig(crop="none", image_size=64))
    assert (seen["frames"], seen["frames in the header"], seen["damage"]) == (40, 40, None)
    assert (seen["size"], seen["rate_hz"], seen["rate"]) == ("96 x 64", 25, "constant")
    assert (seen["codec"], seen["rotation"]) == ("h264, yuv420p", "0 degrees")
    assert seen["crop"] == "96 px to 64 px"
    with av.open(str(path)) as container:
        packet = [p for p in container.demux(video=0) if p.size][30]
    raw = bytearray(path.read_bytes())
    raw[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(raw)
    seen = look_at(path, DataConfig(crop="none"))
    assert (seen["frames"], seen["frames in the header"]) == (30, 40)
    assert seen["damage"].startswith("damaged: 30 frames decode")


def test_a_look_tells_a_varying_rate(tmp_path):
    times_ms = [40 * i + 15 * (i % 2) for i in range(31)]
    path = write_film(tmp_path / "a.mkv", numbered(31), times_ms=times_ms)
    seen = look_at(path, DataConfig(crop="none"))
    assert seen["rate"] == "variable"
    assert seen["rate_hz"] == pytest.approx(25)


def test_a_look_tells_how_long_the_animal_is(tmp_path):
    mouse_film(tmp_path / "a.mp4", Mouse(length_px=34))
    length, unit = look_at(tmp_path / "a.mp4", DataConfig())["body length"].split()
    assert 0.7 * 34 < float(length) < 1.3 * 34
    assert unit == "px"


def test_a_look_at_a_single_frame_is_possible(tmp_path):
    path = write_film(tmp_path / "a.mp4", numbered(1))
    assert look_at(path, DataConfig())["frames"] == 1
    contact_sheet(path, DataConfig(), tmp_path / "a.png")
    assert (tmp_path / "a.png").is_file()


def test_a_look_at_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_text("no film")
    with pytest.raises(UserError, match="cannot be opened as a video"):
        look_at(tmp_path / "a.mp4", DataConfig())
    with pytest.raises(UserError, match="cannot be opened as a video"):
        contact_sheet(tmp_path / "a.mp4", DataConfig(), tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize(
    ("name", "frames", "header"), [("corrupted.mp4", 28, 50), ("flipping_a_pancake.mkv", 310, 0)]
)
def test_a_look_at_real_files_with_lying_headers_tells_the_truth(real_data, name, frames, header):
    seen = look_at(real_data / "odd_videos" / name, DataConfig(crop="none"))
    assert (seen["frames"], seen["frames in the header"]) == (frames, header)


@pytest.mark.parametrize(("height", "width"), [(64, 96), (96, 64), (80, 80)])
def test_a_contact_sheet_is_the_first_frame_and_eight_by_three_crops_spread_over_the_film(
    tmp_path, height, width
):
    path = write_film(
        tmp_path / "a.mp4", [np.full((height, width), 40 + 4 * i, np.uint8) for i in range(47)]
    )
    contact_sheet(path, DataConfig(crop="none"), tmp_path / "sheets" / "a.png")
    with Image.open(tmp_path / "sheets" / "a.png") as image:
        sheet = np.asarray(image.convert("L")).astype(int)
    overview = round(480 * width / height)
    assert sheet.shape == (480, overview + 8 * 160)
    middles = sheet[80::160, overview + 80 :: 160].ravel()
    frames = np.arange(24) * 46 / 23
    assert middles == pytest.approx(40 + 4 * frames, abs=3)
    assert sheet[30, overview // 4] == pytest.approx(40, abs=3)


def test_a_label_file_is_told_by_its_columns_and_counted(study: Path) -> None:
    file = sorted((study / "Annotations").iterdir())[0]
    facts = look_at(file, DataConfig())
    assert facts["trial"] == 1
    assert facts["rows"] == 90
    assert facts["frames"] == "0 to 89"
    assert sum(n for key, n in facts.items() if key.startswith("rows of ")) == 90


def test_a_pose_file_is_told_with_how_much_of_each_keypoint_can_be_believed(study: Path) -> None:
    file = sorted((study / "DLC").iterdir())[0]
    facts = look_at(file, DataConfig())
    assert (facts["rows"], facts["individuals"]) == (180, 1)
    assert facts["keypoints"].startswith("mouth, L_frontpaw")
    assert "below 0.9 likelihood" in facts["L_frontpaw"]
    assert "jumps" in facts["L_frontpaw"]
    length, unit = facts["body length"].split()
    assert 25 < float(length) < 45
    assert unit == "px"
    assert facts["coordinates"].startswith("x ")
    assert facts["hind paws"].startswith("left and right as seen from below in ")


def test_a_pose_file_of_another_skeleton_or_of_two_animals_is_told_too(real_data: Path) -> None:
    facts = look_at(sorted((real_data / "social_rat" / "DLC").iterdir())[0], DataConfig())
    assert facts["individuals"] == 2
    assert facts["keypoints"].startswith("top, body, tail")
    assert {"individual1: body length", "individual2: top"} <= set(facts)


def test_the_pose_is_drawn_on_a_whole_frame_and_on_twelve_cut_outs(
    study: Path, tmp_path: Path
) -> None:
    video = sorted((study / "Videos").iterdir())[0]
    assert (
        main(["inspect", str(video), "--overlay", str(tmp_path / "a.png"), "--crop", "pose"]) == 0
    )
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (900 + 4 * 300, 900)
        colors = {c for _, c in image.getcolors(1 << 22)}
    assert len([c for c in colors if len(set(c)) > 1]) > 6  # the video is gray, the points are not


def test_a_pose_that_cannot_be_drawn_is_refused_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_film(tmp_path / "a.mp4", numbered(3))
    assert main(["inspect", str(video), "--overlay", str(tmp_path / "a.png")]) == 2
    assert "there is no pose file beside it" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()
    table = tmp_path / "aDLC_x.csv"
    table.write_text("")
    assert main(["inspect", str(table), "--overlay", str(tmp_path / "a.png")]) == 2
    assert "name the video" in capsys.readouterr().err


def test_a_file_that_is_neither_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "notes.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"notes\.csv"):
        look_at(file, DataConfig())
