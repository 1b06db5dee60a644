"""The settings of a run and the file that holds them."""

import builtins
import dataclasses
import tempfile
import types
import typing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic.fields import FieldInfo

from dolorim.config import Config, ModelConfig, config_toml, read_config
from dolorim.core.errors import UserError
from dolorim.presets import DEMO, PRESETS

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\:"),
    min_size=1,
    max_size=6,
)
PLAIN = {
    str: TEXT,
    int: st.integers(-(2**31), 2**31),
    bool: st.booleans(),
    type(None): st.none(),
    Path: st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: Path(*parts)),
}


def allowed(hint):
    """Any value that a setting of this type may have."""
    if dataclasses.is_dataclass(hint):
        hints = typing.get_type_hints(hint, include_extras=True)
        return st.builds(hint, **{f.name: allowed(hints[f.name]) for f in dataclasses.fields(hint)})
    match typing.get_origin(hint):
        case typing.Union | types.UnionType:
            return st.one_of(*map(allowed, typing.get_args(hint)))
        case typing.Literal:
            return st.sampled_from(typing.get_args(hint))
        case typing.Annotated:
            kind, mark = typing.get_args(hint)
            if not isinstance(mark, FieldInfo):  # only says how the flag is shown
                return allowed(kind)
            limits = {type(m).__name__: m for m in mark.metadata}
            least = next(
                (limits[n].ge if n == "Ge" else limits[n].gt for n in ("Ge", "Gt") if n in limits),
                None,
            )
            most = limits["Le"].le if "Le" in limits else None
            if kind is int:
                return st.integers(least, most if most is not None else 2**31)
            return st.floats(least, most if most is not None else 1e9, exclude_min="Gt" in limits)
        case builtins.tuple:
            return st.tuples(*map(allowed, typing.get_args(hint)))
    return PLAIN[hint]


def written(folder, text):
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return path


@settings(deadline=None)
@given(allowed(Config))
def test_settings_that_are_written_and_read_are_the_same(config):
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), config_toml(config))
        assert read_config(path) == config


@pytest.mark.parametrize("preset", [*PRESETS.values(), DEMO], ids=[*PRESETS, "demo"])
def test_a_preset_that_is_written_and_read_is_the_same(tmp_path, preset):
    assert read_config(written(tmp_path, config_toml(preset))) == preset


def test_what_a_file_leaves_out_has_its_usual_value(tmp_path):
    config = read_config(
        written(tmp_path, '[data]\nvideos = "day 1/Videos"\n[train]\nepochs = 3\nlr = 1\n')
    )
    usual = Config()
    assert config == dataclasses.replace(
        usual,
        data=dataclasses.replace(usual.data, videos=Path("day 1/Videos")),
        train=dataclasses.replace(usual.train, epochs=3, lr=1.0),
    )


def test_a_setting_that_later_versions_do_without_is_passed_over_where_it_changed_nothing(tmp_path):
    old = "[model]\nrefine_stages = 0\n[train]\noptimizer = 'adamw'\ngrad_clip = 1.0\n"
    assert read_config(written(tmp_path, old)) == Config()


def test_a_file_that_an_editor_saved_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text("[train]\nepochs = 3\n", "utf-8-sig")
    assert read_config(path).train.epochs == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[train]\nepoch = 3\n", "unknown key train.epoch"),
        ("trian = 3\n", "unknown key trian"),
        ("[model]\nfusion = 'late'\n", "model.fusion: input should be 'concat' or 'gated'"),
        ("[dta]\nvideos = 'a'\n", "unknown key dta"),
        ("[train]\nepochs = 'many'\n", "train.epochs: .*integer.*, found 'many'"),
        ("[train]\nepochs = 2.5\n", "train.epochs: .*integer.*, found 2.5"),
        ("[train]\nepochs = 0\n", "train.epochs: .*greater than or equal to 1, found 0"),
        ("[train]\nseed = -1\n", "train.seed: .*greater than or equal to 0, found -1"),
        ("[train]\nmax_minutes = 0\n", "train.max_minutes: .*greater than 0, found 0"),
        ("[train]\nlr = nan\n", "train.lr: .*finite number, found nan"),
        ("[train]\nlr = inf\n", "train.lr: .*finite number, found inf"),
        ("[train]\nlr_schedule = 'step'\n", "lr_schedule: .*'cosine' or 'plateau', found 'step'"),
        ("[train]\noptimizer = 'adam'\n", "train.optimizer: this version knows only adamw"),
        ("[model]\nrefine_stages = 2\n", "model.refine_stages: this version knows only 0"),
        ("[train]\nuse_ema = 'perhaps'\n", "train.use_ema: .*boolean.*, found 'perhaps'"),
        ("[model]\ndropout = 1.5\n", "model.dropout: .*less than or equal to 1, found 1.5"),
        ("[data]\nimage_size = 8\n", "data.image_size: .*greater than or equal to 16, found 8"),
        ("[data]\nvideos = 7\n", "data.videos: .*path.*, found 7"),
        ("[augment]\naug_noise = -0.1\n", "augment.aug_noise: .*, found -0.1"),
        ("train = 3\n", "train: .*, found 3"),
        ("[train\n", "not valid TOML"),
    ],
)
def test_settings_that_are_wrong_are_refused_in_one_line_with_the_key_and_what_was_found(
    tmp_path, text, message
):
    path = written(tmp_path, text)
    with pytest.raises(UserError, match=message) as caught:
        read_config(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_file_in_another_encoding_is_read_and_one_that_is_not_there_is_a_users_error(tmp_path):
    path = tmp_path / "config.toml"
    with pytest.raises(UserError, match="cannot be read"):
        read_config(path)
    path.write_bytes("# Größe\n".encode("latin-1"))
    assert read_config(path) == Config()


def test_settings_do_not_change_once_they_are_made():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().train.epochs = 5


@pytest.mark.parametrize("text", ["convolution_dropout = 1.0", 'visual = "motion_features"'])
def test_a_cnn_that_is_always_dropped_is_what_is_now_called_motion_features(tmp_path, text):
    config = read_config(written(tmp_path, f"[model]\n{text}\n"))
    assert config == Config(model=ModelConfig(visual="motion_features"))
    assert read_config(written(tmp_path, config_toml(config))) == config
    again = dataclasses.replace(config.model, visual="cnn3d")
    assert again.visual == "cnn3d", "the way back needs nothing else"
    assert ModelConfig(visual="vit_2d", convolution_dropout=1.0).visual == "vit_2d"
