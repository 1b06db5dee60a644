"""Quick heads decide as scikit-learn does, from plain arrays, streamed, and chosen honestly."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file, save_file
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from dolorim import api
from dolorim.config import Config
from dolorim.core.errors import UserError
from dolorim.dataset.labelled_recording import Halo, InputSpec
from dolorim.inference.decoder import Decoder
from dolorim.inference.ensemble import Ensemble, Member
from dolorim.inference.frame_features import StoredFrames
from dolorim.inference.head import Head, quick_from, quick_tensors
from dolorim.inference.nearest_bouts import Place, nearest, summaries
from dolorim.inference.predictor import predictor_of
from dolorim.inference.run_folder import RunFolder
from dolorim.inference.streaming import Predictor
from dolorim.labels.ethogram import Ethogram, RawClass
from dolorim.labels.trials import Recording
from dolorim.models.build import build_quick
from dolorim.models.frame_encoder import FrameEncoder, WindowEncoder
from dolorim.models.quick import FrameFeatures, PoseFeatures, QuickRecognizer, with_means
from dolorim.models.quick_heads import LinearHead, TreesHead
from dolorim.pose.pose import NO_SKELETON
from dolorim.training import choose_head
from dolorim.training.fit_quick_heads import _binned, _cuts, fit_head, tree_arrays
from dolorim.training.head_scores import Stretch
from dolorim.training.honest_scores import CrossValidation, score_left_out
from dolorim.training.label_curve import label_curve
from dolorim.training.quick import LeftOut, Teacher, inner_folds
from dolorim.training.quick_rows import QuickRows, rows_of, without_streams
from dolorim.training.study_to_train import frames_by_animal
from dolorim.video.crop import Crops


def columns_with_gaps(rows: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    columns = rng.normal(size=(rows, 6)).astype(np.float32)
    columns[rng.random(columns.shape) < 0.2] = np.nan
    return columns


@pytest.mark.parametrize("known", [(0, 3), (0, 1, 3)])
def test_trees_decide_as_scikit_learn_does(known: tuple[int, ...]) -> None:
    columns = columns_with_gaps(400)
    third = np.digitize(np.nan_to_num(columns[:, 0]), np.linspace(-1, 1, len(known) + 1)[1:-1])
    labels = np.array(known)[third]
    cuts = [_cuts(column) for column in columns.T]
    model = HistGradientBoostingClassifier(max_iter=8, max_leaf_nodes=7)
    model.fit(_binned(columns, cuts), labels)
    new = columns_with_gaps(300, seed=1)
    new[0] = np.nan
    probabilities = TreesHead(tree_arrays(model, 5, cuts))(torch.from_numpy(new)).exp().numpy()
    expected = model.predict_proba(_binned(new, cuts))
    assert np.abs(probabilities[:, list(known)] - expected).max() < 1e-6
    never_seen = [c for c in range(5) if c not in known]
    assert probabilities[:, never_seen].max() < 1e-6


@pytest.mark.parametrize("n_classes", [2, 3])
def test_the_linear_head_decides_as_scikit_learn_does(n_classes: int) -> None:
    columns = columns_with_gaps(300)
    labels = np.digitize(np.nan_to_num(columns[:, 1]), np.linspace(-1, 1, n_classes + 1)[1:-1])
    weights = np.linspace(0.5, 1.5, 300)
    head = fit_head("linear", columns, labels, weights, n_classes, strength=0.01)
    mean, std = np.nanmean(columns, 0), np.nanstd(columns, 0)
    scaled = np.clip((columns - mean) / std, -5, 5)
    inputs = np.concatenate([np.nan_to_num(scaled), np.isnan(columns)], 1, dtype=np.float32)
    model = LogisticRegression(C=1 / 3, max_iter=100, tol=1e-3).fit(inputs, labels, weights)
    probabilities = head(torch.from_numpy(columns)).exp().numpy()
    np.testing.assert_allclose(probabilities, model.predict_proba(inputs), atol=1e-4)


def test_means_over_windows_are_those_of_the_known_values() -> None:
    features = columns_with_gaps(50)
    features[:20, 2] = np.nan  # longer than the window
    means = with_means(torch.from_numpy(features), [7])[:, 6:].numpy()
    table = pd.DataFrame(features.astype(float))
    np.testing.assert_allclose(
        means, table.rolling(7, center=True, min_periods=1).mean(), rtol=1e-5
    )


def linear_head(columns: int, classes: int = 3, seed: int = 0) -> LinearHead:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, columns)).astype(np.float32)
    return fit_head("linear", rows, np.arange(60) % classes, np.ones(60), classes)  # type: ignore[return-value]


def quick_model(windows: tuple[int, ...] = (5, 31)) -> QuickRecognizer:
    torch.manual_seed(0)
    encoder = WindowEncoder(FrameEncoder((4, 8)), crop_scale=1.6).eval()
    visual, pose = FrameFeatures([encoder]), PoseFeatures(4)
    width = (visual.width + 4) * (1 + len(windows))
    return QuickRecognizer(visual, pose, windows, {"linear": linear_head(width)}, [1.0])


def crops(n_frames: int = 200) -> Crops:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (n_frames, 24, 24), dtype=np.uint8)
    centers = rng.normal(size=(n_frames, 2)).astype(np.float32)
    return Crops(0, images, centers, np.arange(n_frames) / 30, np.zeros(n_frames, np.float32))


def predictor(chunk: int, read: int) -> Predictor:
    spec = InputSpec(Halo(4, 4))
    return Predictor(quick_model(), spec, torch.device("cpu"), "32", chunk, read)


def test_any_chunks_decide_like_the_whole() -> None:
    blocks = [crops().skip(0)]
    [whole] = predictor(256, 256).stream(blocks)
    parts = [d.probabilities for d in predictor(16, 32).stream(blocks)]
    np.testing.assert_allclose(np.concatenate(parts), whole.probabilities, atol=1e-5)


def test_members_of_an_ensemble_share_the_mean_of_their_log_probabilities() -> None:
    small, large = predictor(16, 32), predictor(64, 64)
    members = [Member(p, share, lambda r: r) for p, share in ((small, 0.25), (large, 0.75))]
    [whole] = predictor(256, 256).stream([crops()])
    streamed = [d.probabilities for d in Ensemble(members).stream([crops()])]
    np.testing.assert_allclose(np.concatenate(streamed), whole.probabilities, atol=1e-4)
    assert Ensemble(members).around(64, 128) == (0, 3 * 64 + 4)


def test_rare_classes_are_learned_from_densely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dolorim.training.quick_rows.ROWS", 100)
    monkeypatch.setattr("dolorim.training.quick_rows._LEAST", 20)
    labels = np.zeros(1000, np.int16)
    labels[500:530], labels[:100] = 1, -1
    stored = StoredFrames(None, np.arange(4000, dtype=np.float32).reshape(1000, 4))
    model = QuickRecognizer(None, PoseFeatures(4), [3], {}, [])
    rows = rows_of([stored], [labels], model, 3)
    assert np.bincount(rows.labels).tolist() == [109, 30]  # 870 by 8
    assert rows.bout.tolist() == sorted(rows.bout)
    assert set(rows.of_bouts(np.array([2])).labels) == {1}  # after unlabeled frames and one bout
    first = rows.columns[rows.labels == 1][0]
    assert first.tolist() == [2000, 2001, 2002, 2003] * 2
    weights = rows.weights(np.array([0.5, 0.5, 0.0]))
    assert weights[rows.labels == 0].sum() == pytest.approx(weights[rows.labels == 1].sum())


def test_some_rows_lack_a_whole_stream() -> None:
    rows = QuickRows(np.ones((200, 10), np.float32), *np.zeros((3, 200), int))
    missing = np.isnan(without_streams(rows, (2, 3), 0.5, seed=0).columns)
    visual, pose = missing[:, [0, 1, 5, 6]], missing[:, [2, 3, 4, 7, 8, 9]]
    assert (visual.all(1) == visual.any(1)).all()
    assert (pose.all(1) == pose.any(1)).all()
    assert not (visual.any(1) & pose.any(1)).any()
    assert 60 < (visual.any(1) | pose.any(1)).sum() < 140


def left_out(good: float, n_animals: int) -> LeftOut:
    """A network that is right in a share `good` of the frames, and quick heads right in 0.7."""
    rng = np.random.default_rng(0)
    stretches, scores = [], {"network": [], "quick": []}
    for animal in range(n_animals):
        labels = np.repeat(rng.integers(0, 3, 20), 40)
        stretches.append(Stretch(str(animal), labels, 30.0))
        for name, share in (("network", good), ("quick", 0.7)):
            right = np.repeat(rng.random(20) < share, 40)
            told = np.where(right, labels, (labels + 1) % 3)
            scores[name].append(np.log(np.eye(3)[told] * 0.8 + 0.05))
    return LeftOut(stretches, scores)


@pytest.mark.parametrize(("good", "shares"), [(0.99, {"network": 1.0}), (0.3, {"trees": 1.0})])
def test_the_better_head_is_chosen(good: float, shares: dict[str, float]) -> None:
    quick = choose_head.Choice({"trees": 1.0}, "")
    choice = choose_head.choose_network_share(left_out(good, 8), quick, np.zeros(3))
    assert choice.shares == shares
    assert "8 validation animals" in choice.why


def test_a_lead_that_may_be_chance_leaves_the_equal_mean() -> None:
    quick = choose_head.Choice({"trees": 1.0}, "")
    choice = choose_head.choose_network_share(left_out(0.72, 8), quick, np.zeros(3))
    assert choice.shares == {"network": 0.5, "trees": 0.5}


def test_too_few_animals_choose_nothing() -> None:
    quick = choose_head.Choice({"linear": 0.5, "trees": 0.5}, "")
    choice = choose_head.choose_network_share(left_out(0.99, 2), quick, np.zeros(3))
    assert choice.shares == {"network": 0.5, "linear": 0.25, "trees": 0.25}
    assert "fewer than 3" in choice.why


def test_inner_folds_keep_an_animal_together() -> None:
    assert inner_folds(["a", "b", "a", "c"]) == [[0, 2], [1], [3]]
    assert inner_folds(["a", "a"]) == []


def test_a_quick_head_makes_a_whole_run(quick_run: Path) -> None:
    run = RunFolder(quick_run)
    assert run.read_head().name == "linear"
    assert set(run.read_json("metrics.json")) == {"val", "test"}
    assert "linear head" in (quick_run / "model_card.md").read_text("utf-8")
    assert all(name.startswith("quick.") for name in load_file(run.weights))
    with pytest.raises(UserError, match="has no network"):
        run.load_model()


def test_prediction_repeats_the_evaluation(quick_run: Path, study: Path, tmp_path: Path) -> None:
    [kept] = (quick_run / "predictions" / "test").glob("*.predictions.csv")
    stem = kept.name.removesuffix(".predictions.csv")
    api.predict(quick_run, study / "Videos" / f"{stem}.mp4", out=tmp_path)
    assert (tmp_path / kept.name).read_text("utf-8") == kept.read_text("utf-8")


@pytest.mark.parametrize("change", ["lacking", "shape", "shares"])
def test_a_damaged_head_is_refused(quick_run: Path, tmp_path: Path, change: str) -> None:
    run = RunFolder(tmp_path)
    for name in ("config.toml", "ethogram.toml", "head.json"):
        (tmp_path / name).write_bytes((quick_run / name).read_bytes())
    tensors = load_file(quick_run / "model.safetensors")
    if change == "lacking":
        del tensors["quick.heads.linear.mean"]
    if change == "shape":
        tensors["quick.heads.linear.intercept"] = torch.zeros(2, dtype=torch.float64)
    if change == "shares":
        run.write_json("head.json", {"shares": {"forest": 1}})
    save_file(tensors, run.weights)
    with pytest.raises(UserError):
        predictor_of(run)


def test_auto_joins_the_network_with_quick_heads(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The choice of `--head auto`, made for a network that is trained already."""
    monkeypatch.setattr("dolorim.training.fit_quick_heads._TREES", {"max_iter": 3})
    from dolorim.dataset.loading import load_dataset

    before, run = RunFolder(trained), RunFolder(tmp_path / "run")
    config, split = before.read_config(), before.read_split()
    dataset = load_dataset(config, before.read_body_lengths())
    run.start(config, dataset.study.ethogram, split, dataset.skeleton)
    shares = np.full(6, 1 / 6)
    learner = SimpleNamespace(
        model=before.load_model(), shares=shares, decoder=Decoder(), val=dataset.part(split.val)
    )
    choose_head.choose_head(config, run, learner, dataset.part(split.train))
    head = run.read_head()
    assert head.shares["network"] == 0.5
    assert "fewer than 3 validation animals" in head.why
    assert {row["head"] for row in head.scores} == {"linear", "trees", "linear + trees"}
    probabilities = predictor_of(run)(dataset.labelled[0]).probabilities
    alone = [m.predictor(m.stored(dataset.labelled[0])) for m in predictor_of(run).members]  # type: ignore[union-attr]
    product = alone[0].probabilities * alone[1].probabilities
    expected = np.sqrt(product) / np.sqrt(product).sum(1, keepdims=True)
    np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    assert frames_by_animal(dataset)
    assert json.loads((run.path / "head.json").read_text())["why"] == head.why


def test_an_encoder_is_part_of_the_run(tmp_path: Path) -> None:
    model = dataclasses.replace(Config().model, encoder="gone")
    config, head = dataclasses.replace(Config(), model=model), Head({"linear": 1.0})
    width = build_quick(config).width
    assert width == 49 + 256
    heads = {"linear": linear_head(2 * width)}
    before = build_quick(config, windows=[3], heads=heads, weights=[1.0])
    after = quick_from(quick_tensors(before), head, config, NO_SKELETON, 3, tmp_path)
    state = before.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in after.state_dict().items())
    del state["visual.encoders.0.network.stem.0.weight"]
    lacking = {f"quick.{name}": tensor for name, tensor in state.items()}
    with pytest.raises(UserError, match="do not fit"):
        quick_from(lacking, head, config, NO_SKELETON, 3, tmp_path)


def teacher_of(animals: int, tells: float, seed: int = 0) -> Teacher:
    """Animals with two behaviors; `tells` is how far apart a feature is in these."""
    rng = np.random.default_rng(seed)
    recordings, frames = [], []
    for animal in range(animals):
        labels = np.repeat(rng.integers(0, 2, 12), 25).astype(np.int16)
        features = rng.normal(size=(300, 4)).astype(np.float32)
        features[:, 0] += tells * labels
        recording = Recording(f"video {animal}", f"animal {animal}", labels)
        recordings.append(SimpleNamespace(recording=recording, time_s=np.arange(300) / 30))
        frames.append(StoredFrames(None, features))
    labels_of = [r.recording.labels for r in recordings]
    rows = rows_of(frames, labels_of, quick_of_four(), 2)
    return Teacher(recordings, frames, rows, np.array([0.5, 0.5]), np.zeros(2))  # type: ignore[arg-type]


def quick_of_four() -> QuickRecognizer:
    return QuickRecognizer(None, PoseFeatures(4), [3], {}, [])


@pytest.mark.parametrize(("animals", "folds"), [(1, 0), (2, 2), (6, 4)])
def test_scores_on_animals_left_out(animals: int, folds: int) -> None:
    ethogram = Ethogram(
        (RawClass(0, "rest", "rest"), RawClass(1, "lick", "lick")), ("rest", "lick")
    )
    teacher = teacher_of(animals, tells=6.0)
    assert len(CrossValidation(teacher, quick_of_four()).folds) == folds
    left_out = score_left_out(teacher, quick_of_four(), ethogram)
    if not folds:
        assert left_out is None
        return
    assert left_out is not None
    assert left_out.figures["macro_f1"] > 0.9
    assert left_out.figures["frames"] == animals * 300  # each labeled frame is scored once
    assert left_out.figures["animals"] == [f"animal {i}" for i in range(animals)]
    sentence = left_out.figures["sentence"]
    assert (" to " in sentence) == (animals > 2)
    assert ("an interval takes 3 animals" in sentence) == (animals == 2)
    nothing = score_left_out(teacher_of(animals, tells=0.0), quick_of_four(), ethogram)
    assert nothing is not None
    assert nothing.figures["macro_f1"] < 0.65


def test_no_head_has_seen_the_animals_that_it_is_scored_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    fit = Teacher.fit

    def noting(self: Teacher, kind, recordings, strength):  # type: ignore[no-untyped-def]
        seen.append(tuple(recordings))
        return fit(self, kind, recordings, strength)

    monkeypatch.setattr(Teacher, "fit", noting)
    validation = CrossValidation(teacher_of(4, tells=3.0), quick_of_four())
    validation.best([1, 2, 3], besides=[0])
    assert seen
    assert not any(0 in recordings for recordings in seen)
    validation.told(2, [], 0.01)
    assert seen[-1] == (0, 1, 3)


def test_heads_are_named_with_their_shares() -> None:
    assert Head({"network": 0.0, "trees": 1.0}).name == "trees"
    assert Head({"network": 0.5, "linear": 0.25, "trees": 0.25}).quick_shares == {
        "linear": 0.5,
        "trees": 0.5,
    }
    assert dataclasses.asdict(Head())["shares"] == {"network": 1.0}


def test_the_curve_tells_whether_more_labels_help(quick_run: Path) -> None:
    curve = label_curve(RunFolder(quick_run), draws=5)
    assert [point["share"] for point in curve["points"]][-1] == 1.0
    bouts = [point["bouts"] for point in curve["points"]]
    assert bouts == sorted(bouts)
    assert curve["part"] == "test"
    assert "abeling more" in curve["sentence"]
    assert len(curve["animals"]) < 3
    assert curve["points"][-1]["interval"] is None
    assert "label_curve.json" in {path.name for path in quick_run.iterdir()}


def test_a_run_on_all_animals_has_scores_a_curve_and_a_decoder(
    quick_run: Path, tmp_path: Path
) -> None:
    config = RunFolder(quick_run).read_config()
    settings = dataclasses.replace(config.train, val_animals="none", test_animals="none")
    run = RunFolder(api.train_config(dataclasses.replace(config, train=settings), tmp_path).path)
    scores = run.read_json("cross_validated.json")
    assert len(scores["animals"]) == 5
    assert scores["sentence"].startswith("macro-F1 on 5 animals left out in turn: 0.")
    assert run.read_json("metrics.json") == {}
    assert run.read_decoder() != Decoder()
    curve = label_curve(run, draws=2)
    assert curve["part"] == "animals left out in turn"
    assert len(curve["animals"]) == 5


def test_the_nearest_bout_is_the_one_that_looks_alike() -> None:
    rng = np.random.default_rng(0)
    kinds = [0, 1, 2, 0, 1, 2, 0]
    blocks = [rng.normal([kind, kind == 1, -kind], 0.1, (10, 3)) for kind in kinds]
    blocks = [
        block * [1, -1 if kind == 1 else 1, 2] for kind, block in zip(kinds, blocks, strict=True)
    ]
    features = np.concatenate(blocks).astype(np.float32)
    features[:, 1][::7] = np.nan
    stored = StoredFrames(None, features)
    places = [Place(0, 10 * i, 10 * i + 10) for i in range(len(kinds))]
    closest = nearest(summaries([stored], places), wanted=0, n=2)
    assert {i for i, _ in closest} == {3, 6}
    assert closest[0][1] >= closest[1][1]
