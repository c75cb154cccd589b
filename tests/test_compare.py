"""Experiments side by side: the leaderboard, and `chest-transfer compare`, which rank nothing that cannot be ranked."""

from dataclasses import replace

import numpy as np
import pytest

from chest_transfer.errors import ChestTransferError
from chest_transfer.reporting.compare import chosen_experiments, comparison_text, score_table, settings_table
from chest_transfer.reporting.experiment_list import ListedExperiment, changed_settings, name_of_test_split
from chest_transfer.reporting.leaderboard import as_numbers, as_text, build_leaderboard, filtered, read_published

SETTINGS = {"model": "vgg16", "image_size": 224, "source": "kaggle", "seeds": [1], "datasets": ["pneumonia"]}


def scores(auc: float | None, start: str = "imagenet") -> dict:
    """What `metrics/detail/D.json` has of a probe."""
    bounds = {} if auc is None else {"auc_low": auc - 0.1, "auc_high": auc + 0.1}
    others = {"accuracy": 0.9, "sensitivity": 0.8, "specificity": 0.7, "f1": 0.6}
    return {"probe": {start: {"auc": auc} | bounds | others | {"fits": {"seed1-all": {"validation_auc": auc}}}}}


def experiment(name: str, auc: float | None, split: str = "kaggle 0123", state: str = "finished", **params):
    settings, found = SETTINGS | params, {} if state != "finished" else {"pneumonia": scores(auc)}
    revision = {"workspace": "workspace", "main": "9999999999"}.get(name, "0123456789")
    return ListedExperiment(name, revision, state, settings, found, dict.fromkeys(found, split), is_head=name == "main")


def board_of(*experiments: ListedExperiment):
    return build_leaderboard(list(experiments), read_published())


def test_experiments_that_differ_only_in_their_seed_share_a_row_beside_published_results():
    runs = [experiment("a", 0.90), experiment("b", 0.94, seeds=[2]), experiment("c", 0.80, image_size=96)]
    board = board_of(*runs, experiment("again", 0.90))
    table = as_text(board, is_paired=False)
    assert table["seeds"].tolist() == [2, 1]
    assert table["AUC"].tolist() == ["0.920 (seeds 0.900-0.940)", "0.800 (0.700-0.900)"]
    assert table["published"][0] == "accuracy 0.923 (three-backbones); f1 0.927 (three-backbones)"
    assert board_of(experiment("a", 0.9, source="phantom")).table["published"].tolist() == [""]


def test_of_experiments_that_differ_only_in_their_seeds_that_with_the_most_is_shown():
    table = as_numbers(board_of(experiment("one", 0.9), experiment("three", 0.8, seeds=[1, 2, 3])), is_paired=False)
    assert table[["experiment", "auc", "seeds"]].to_numpy().tolist() == [["three", 0.8, 3]]


def test_models_that_were_tested_on_other_radiographs_are_not_ranked_together():
    real, simulated = experiment("real", 0.9), experiment("simulated", 0.99, "phantom 4567", source="phantom")
    other_split = experiment("split", 0.95, "kaggle 89ab", preprocess={"split_seed": 2})
    table = as_text(board_of(simulated, other_split, real, experiment("better", 0.92, weights=["imagenet"])), False)
    assert table["tested on"].tolist() == ["kaggle 0123", "kaggle 0123", "kaggle 89ab", "phantom 4567"]
    assert table["experiment"].tolist() == ["better", "real", "split", "simulated"]


def test_settings_in_which_experiments_differ_are_columns():
    train = [{"epochs": 5, "augmentation": {"degrade": {"blur": blur}}} for blur in (0.1, 0.2)]
    table = as_text(board_of(*(experiment(str(number), 0.9, train=of) for number, of in enumerate(train))), False)
    assert table["train.augmentation.degrade"].tolist() == ['{"blur": 0.1}', '{"blur": 0.2}']
    assert "train.epochs" not in table
    assert changed_settings([experiment("a", 1, seeds=[1]), experiment("b", 1, seeds=[2])]) == {"seeds": [[1], [2]]}


def test_the_numbers_for_a_program_are_numbers():
    table = as_numbers(board_of(experiment("a", 0.9), experiment("failed", None, state="failed")), is_paired=False)
    assert table.loc[0, ["auc", "auc_low", "auc_high"]].astype(float).tolist() == pytest.approx([0.9, 0.8, 1.0])
    assert table["state"].tolist() == ["finished", "failed"]
    assert np.isnan(table.loc[1, "auc"])


def test_filters_leave_rows_and_name_what_is_allowed():
    board = board_of(experiment("a", 0.9), experiment("b", 0.8, model="cnn"))
    assert filtered(board, {"model": "cnn"}).table["experiment"].tolist() == ["b"]
    assert len(filtered(board, {"model": "cnn,vgg16", "regime": None}).table) == 2
    with pytest.raises(
        ChestTransferError, match=r"unknown model 'vgg61'; did you mean 'vgg16'\? \(allowed: cnn, vgg16"
    ):
        filtered(board, {"model": "vgg61"})


def test_an_experiment_that_cannot_be_read_is_listed_with_the_reason():
    table = as_text(board_of(experiment("a", 0.9), experiment("broken", None, state="unreadable: bad YAML")), False)
    assert table["state"].tolist() == ["finished", "unreadable: bad YAML"]
    assert table["experiment"].tolist() == ["a", "broken"]
    with pytest.raises(ChestTransferError, match=r"broken: unreadable: bad YAML\); run: dvc exp run"):
        board_of(experiment("broken", None, state="unreadable: bad YAML"))


def test_a_score_that_cannot_be_computed_is_a_dash():
    table = as_text(board_of(experiment("a", None)), is_paired=False)
    assert table["AUC"].tolist() == ["\N{EN DASH}"]


@pytest.mark.parametrize(
    ("change", "is_same"),
    [
        ({"image_size": 96}, True),
        ({"preprocess": {"split_seed": 1, "fit": "pad"}}, True),
        ({"preprocess": {"split_seed": 2}}, False),
        ({"preprocess": {"split_seed": 1, "duplicates": "drop"}}, False),
    ],
)
def test_the_name_of_a_test_split_is_of_the_archive_and_of_what_splits_it(change, is_same):
    lock = {"stages": {"preprocess@pneumonia": {"deps": [{"path": "data/raw/pneumonia.zip", "md5": "1" * 32}]}}}
    params = {"source": "kaggle", "preprocess": {"split_seed": 1}}
    name = name_of_test_split(lock, params, "pneumonia")
    assert name.startswith("kaggle ")
    assert (name_of_test_split(lock, params | change, "pneumonia") == name) == is_same
    lock["stages"]["preprocess@pneumonia"]["deps"][0]["md5"] = "2" * 32
    assert name_of_test_split(lock, params, "pneumonia") != name


LISTED = [
    experiment("workspace", 0.9),
    experiment("main", 0.9),
    experiment("wide", 0.95, image_size=299),
    experiment("queued", None, state="queued"),
]


class TestCompare:
    def test_all_that_have_scores_are_compared_and_the_workspace_where_it_is_new(self):
        assert [one.name for one in chosen_experiments(LISTED, [])] == ["main", "wide"]
        changed = [experiment("workspace", 0.8, image_size=96), *LISTED[1:]]
        assert [one.name for one in chosen_experiments(changed, [])] == ["main", "wide", "workspace"]

    def test_the_commit_that_is_checked_out_is_head_whatever_commits_are_listed(self):
        listed = [LISTED[0], experiment("other branch", 0.7, image_size=64), *LISTED[1:]]
        assert [one.name for one in chosen_experiments(listed, ["wide"])] == ["main", "wide"]

    def test_a_head_without_scores_is_refused(self):
        listed = [LISTED[0], experiment("main", None, state="stale: edited"), *LISTED[2:]]
        with pytest.raises(ChestTransferError, match=r"'HEAD' has no scores of its own \(stale: edited\)"):
            chosen_experiments(listed, ["wide"])

    def test_experiments_of_one_name_are_told_apart_by_their_commit(self):
        listed = [LISTED[0], LISTED[1], LISTED[2], experiment("wide", 0.1, image_size=64)]
        listed[3].revision = "fedcba9876"
        names = [one.name for one in chosen_experiments(listed, [])]
        assert names == ["main", "wide 0123456", "wide fedcba9"]
        assert score_table(chosen_experiments(listed, [])).iloc[0].tolist() == ["0.900", "0.950", "0.100"]

    def test_a_single_one_is_compared_with_the_last_commit(self):
        assert [one.name for one in chosen_experiments(LISTED, ["wide"])] == ["main", "wide"]
        unknown = r"unknown experiment 'wied'; did you mean 'wide'\?.*see: dvc exp show --all-commits"
        with pytest.raises(ChestTransferError, match=unknown):
            chosen_experiments(LISTED, ["wied"])
        with pytest.raises(ChestTransferError, match=r"'queued' has no scores of its own \(queued\); run: dvc exp run"):
            chosen_experiments(LISTED, ["queued"])

    def test_a_commit_of_several_names_is_compared_once(self):
        listed = [*LISTED, replace(LISTED[1], name="v1")]
        assert [one.name for one in chosen_experiments(listed, ["v1", "HEAD", "wide"])] == ["main", "wide"]

    def test_three_experiments_fit_beside_each_other(self):
        chosen = [*chosen_experiments(LISTED, []), experiment("other", 0.7, "kaggle 89ab", model="cnn")]
        assert settings_table(chosen).loc["image_size"].tolist() == ["224", "299", "224"]
        table = score_table(chosen)
        assert table.loc[("pneumonia", "kaggle 0123", "AUC probe imagenet")].tolist() == [
            "0.900",
            "0.950",
            "\N{EN DASH}",
        ]
        assert table.loc[("pneumonia", "kaggle 89ab", "AUC probe imagenet")]["other"] == "0.700"
        lines = comparison_text(chosen, 160).splitlines()
        assert max(map(len, lines)) <= 100
        assert lines[0].split() == ["main", "wide", "other"]
