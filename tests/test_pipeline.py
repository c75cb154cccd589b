"""The pipeline as a user runs it: a real Git and DVC repository at toy size, from `dvc repro` to a clone that pulls."""

import hashlib
import io
import json
import re
import shutil
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import (
    ROOT,
    TOY,
    all_recorded,
    change_settings,
    commands,
    commit,
    grey,
    refused,
    run,
    toy_repository,
)


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Path:
    """This checkout as a repository of its own, with toy settings and a remote, its first experiment run."""
    folder = toy_repository(tmp_path_factory.mktemp("pipeline"), model="cnn_strided", **TOY)
    run(folder, "dvc", "remote", "add", "-d", "storage", str(folder.parent / "remote"))
    commit(folder, "A remote")
    all_recorded(folder)
    commit(folder, "cnn_strided")
    return folder


def stages_run(output: str) -> list[str]:
    """The stages that ran, but for `sources`, which looks at files outside of the project each time."""
    stages = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage ")]
    return [name for name in stages if name != "sources"]


@pytest.fixture(scope="module")
def two_models(repository) -> Path:
    """The repository after a second experiment with another backbone, committed and pushed."""
    run(repository, "dvc", "push")
    second = run(repository, "dvc", "exp", "run", "-S", "model=cnn")
    (repository.parent / "second.txt").write_text(second.stdout)
    run(repository, "dvc", "push")
    diff = json.loads(run(repository, "dvc", "metrics", "diff", "--json").stdout)
    commit(repository, "cnn")
    (repository.parent / "diff.json").write_text(json.dumps(diff))
    return repository


def clone(repository: Path, name: str) -> Path:
    run(repository.parent, "git", "clone", "-q", str(repository), name)
    return repository.parent / name


def test_the_whole_graph_runs_and_leaves_metrics_in_git(repository):
    metrics = json.loads((repository / "metrics/detail/pneumonia.json").read_text())
    assert set(metrics) == {"probe", "train"}
    assert set(metrics["train"]) == set(metrics["probe"]) == {"none"}
    assert {"auc", "auc_low", "auc_high", "sensitivity", "specificity", "loss", "ece"} <= set(metrics["train"]["none"])
    assert (repository / "report/index.html").stat().st_size > 50_000
    tracked = run(repository, "git", "ls-files").stdout
    for name in (
        "metrics/pneumonia.json",
        "metrics/data/pneumonia.json",
        "metrics/plots/pneumonia/roc.csv",
        "dvc.lock",
    ):
        assert name in tracked
    assert ".keras" not in tracked
    assert ".npz" not in tracked


def test_a_second_repro_runs_nothing(repository):
    assert stages_run(run(repository, "dvc", "repro").stdout) == []
    assert run(repository, "git", "status", "--porcelain").stdout == ""


def test_two_backbones_side_by_side(two_models):
    diff = json.loads((two_models.parent / "diff.json").read_text())
    change = diff["metrics/pneumonia.json"]["pneumonia.train.none"]
    assert set(change) == {"old", "new", "diff"}
    assert change["old"] is not None
    assert change["new"] is not None


def test_experiments_and_commits_of_any_age_are_compared_by_their_names(two_models):
    (experiment,) = run(two_models, "git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").stdout.split()
    command = sys.executable, "-m", "chest_transfer.cli", "compare", "HEAD~1", experiment
    lines = run(two_models, *command, PYTHONPATH=str(ROOT / "src")).stdout.splitlines()
    assert lines[0].split() == ["HEAD~1", experiment]
    assert lines[1].split() == ["model", "cnn_strided", "cnn"]
    compared = [line.split()[:3] for line in lines[4:]]
    assert compared == [["pneumonia", "probe", "none"], ["pneumonia", "train", "none"]]


def test_the_leaderboard_holds_both_backbones(two_models):
    board = run(two_models, sys.executable, "-m", "chest_transfer.cli", "leaderboard", "--csv", "--all-commits",
               "--paired", PYTHONPATH=str(ROOT / "src"))  # fmt: skip
    table = pd.read_csv(io.StringIO(board.stdout))
    assert set(table["model"]) == {"cnn", "cnn_strided"}
    assert set(table["regime"]) == {"probe", "train"}
    first, *others = table["difference to the best"]
    assert first == "best of those compared"
    assert all(re.match("[+\u2212]0", difference) for difference in others)


def test_another_backbone_trains_only_its_own_stages(two_models):
    ran = stages_run((two_models.parent / "second.txt").read_text())
    assert {name for name in ran if "-" in name or name.startswith("pretrained@")} == {
        "pretrained@cnn-none", "embed@pneumonia-cnn-none", "embed_random@pneumonia-cnn-none-1",
        "probe@pneumonia-cnn-none-1-all", "train@pneumonia-cnn-none-1-all", "explain@pneumonia-cnn",
        "degraded@pneumonia-cnn",
    }  # fmt: skip
    assert {name for name in ran if "-" not in name} == {
        "code",  # which checks the settings
        "evaluate@pneumonia",
        "stress@pneumonia",
        "best@pneumonia",
        "report",
    }
    lock = (two_models / "dvc.lock").read_text()
    for name in ("train@pneumonia-cnn-none-1-all", "train@pneumonia-cnn_strided-none-1-all"):
        assert f"{name}:" in lock


def test_a_fresh_clone_pulls_the_other_model_and_trains_nothing(two_models):
    folder = clone(two_models, "pulled")
    ran = stages_run(run(folder, "dvc", "exp", "run", "--pull", "-S", "model=cnn_strided", "train").stdout)
    assert not [stage for stage in ran if stage.startswith(("train@", "pretrained@", "download@", "preprocess@"))]
    pulled = folder / "models/pneumonia/cnn_strided/train-none-seed1-all.keras"
    assert hashlib.md5(pulled.read_bytes()).hexdigest() in (two_models / "dvc.lock").read_text()


def test_a_model_of_another_backbone_is_predicted_with_from_a_fresh_clone(two_models, tmp_path):
    folder = clone(two_models, "predicts")
    (tmp_path / "one.png").write_bytes(grey())
    names = "pneumonia/cnn_strided/train-none", "pneumonia/cnn/train-none"
    arguments = str(tmp_path / "one.png"), "--rev", "HEAD", "--json"
    printed = commands(folder, *(("predict", name, *arguments) for name in names))
    for name, output in zip(names, printed, strict=True):
        answer = json.loads(output)
        assert answer["model"]["backbone"] == name.split("/")[1]
        assert set(answer["predictions"][0]["probabilities"]) == {"NORMAL", "PNEUMONIA"}


def test_another_seed_and_another_number_of_patients_train_only_what_is_new(two_models):
    folder = clone(two_models, "seeds")
    run(folder, "dvc", "pull")
    changes = ("-S", "seeds=[1,2]", "-S", "patients=[20,all]", "-S", "train.weights=[]")
    ran = stages_run(run(folder, "dvc", "exp", "run", *changes, "evaluate").stdout)
    assert {name for name in ran if "-" in name} == {
        "embed_random@pneumonia-cnn-none-2",
        *(f"probe@pneumonia-cnn-none-{fit}" for fit in ("1-20", "2-20", "2-all")),
    }
    curves = json.loads((folder / "metrics/curves/pneumonia.json").read_text())
    assert next(iter(curves["probe"]["none"]["points"])) == "20"
    run(folder, "dvc", "push")
    commit(folder, "Two seeds, two numbers of patients")
    pulled = run(clone(folder, "seeds_pulled"), "dvc", "repro", "--pull", "evaluate").stdout
    assert not [name for name in stages_run(pulled) if "-" in name]


def test_the_app_offers_a_best_model_that_only_the_cache_has(two_models):
    folder = clone(two_models, "other_datasets")
    run(folder, "dvc", "pull")
    (folder / "models/best/pneumonia.keras").unlink()  # as an experiment on other datasets does
    program = "from chest_transfer.serving.collection import collect_models; print(list(collect_models([])))"
    assert "'pneumonia'" in run(folder, "python", "-c", program).stdout


@pytest.mark.browser
def test_plots_are_drawn_without_a_network(two_models, browser):
    page_file = run(two_models, "dvc", "plots", "show").stdout.strip().splitlines()[-1]
    charts = Path(page_file.removeprefix("file://")).read_text().count("vegaEmbed('#")
    context, failed = browser.new_context(offline=True), []
    with context.new_page() as page:
        page.on("requestfailed", lambda request: failed.append(request.url))
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.goto(page_file)
        page.wait_for_function(f"document.querySelectorAll('canvas.marks, svg.marks').length === {charts}")
    context.close()
    assert charts > 10
    assert failed == []


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("metrics/detail/pneumonia.json", "evaluate@pneumonia"),
        ("metrics/plots/pneumonia/roc.csv", "evaluate@pneumonia"),
        ("metrics/data/pneumonia.json", "explore@pneumonia"),
        ("metrics/overlap.csv", "overlap"),
    ],
)
def test_no_reader_shows_a_score_that_was_edited(two_models, path, stage):
    folder = two_models.parent / "edited"
    if not folder.exists():
        clone(two_models, "edited")
    (folder / path).write_text((folder / path).read_text() + "\n")
    refusal = refused(run(folder, "chest-transfer", "report", check=False))
    assert f"{stage} is not of the settings in params.yaml: {path} is not what {stage} wrote" in refusal
    run(folder, "git", "checkout", "-q", ".")


@pytest.mark.parametrize(
    "lock", [b"\xff\xfe", b"train:\n  cmd: python\n", b"schema: '2.0'\nstages:\n  a: [", b"<<<<<<< HEAD\n"]
)
def test_every_reader_of_a_broken_lock_file_says_how_to_mend_it(two_models, lock):
    folder = two_models.parent / "broken"
    if not folder.exists():
        clone(two_models, "broken")
    (folder / "dvc.lock").write_bytes(lock)
    for words in (["report"], ["storage", "list"], ["predict", "pneumonia/train-none", "a.png"]):
        message = refused(run(folder, "chest-transfer", *words, check=False))
        assert "dvc.lock" in message
        assert message.endswith("; run: chest-transfer mend")
    assert "restored from the last commit" in run(folder, "chest-transfer", "mend").stdout


def test_without_git_results_are_readable_and_the_rest_says_what_it_needs(two_models, tmp_path):
    folder = shutil.copytree(two_models, tmp_path / "unpacked", ignore=shutil.ignore_patterns(".git"), symlinks=True)
    for words, need in (
        (["leaderboard"], "experiments are kept beside a commit, but this folder is in no Git repository with one"),
        (["cluster"], "workers clone the last commit, but this folder is in no Git repository with one"),
        (["storage", "list"], "run from the project's folder, in a Git repository"),
    ):
        assert need in refused(run(folder, "chest-transfer", *words, check=False))
    assert "index.html" in run(folder, "chest-transfer", "report").stdout
    assert "These are the results " in (folder / "report/report.md").read_text()


def test_a_fresh_clone_without_the_remote_makes_the_same_bytes(two_models):
    folder = clone(two_models, "again")
    assert "running stages.train pneumonia cnn none 1 all" in all_recorded(folder)
    assert run(folder, "git", "status", "--porcelain").stdout == ""
    lock = [(path / "dvc.lock").read_bytes() for path in (folder, two_models)]
    assert lock[0] == lock[1]


def test_a_temporary_experiment_runs_the_code_of_its_own_copy(two_models):
    # Its copy writes a score more; an editable install or a wrong path would take this checkout's.
    folder = clone(two_models, "temporary")
    run(folder, "dvc", "pull")
    summary = folder / "src/chest_transfer/evaluation/summary.py"
    start = '    write_json(folder / f"{dataset}.json", {dataset: headline(detail, gain)})'
    assert start in summary.read_text()
    other = start.replace("{dataset: headline(detail, gain)}", '{"own": 1}')
    summary.write_text(summary.read_text().replace(start, other, 1))
    commit(folder, "changed code")
    run(folder, "dvc", "exp", "run", "--temp", "-n", "own-copy", "evaluate")
    shown = json.loads(run(folder, "dvc", "exp", "show", "--json", "--only-changed").stdout)
    assert '"own"' in json.dumps(shown)
    assert "own" not in (folder / "metrics/pneumonia.json").read_text()


def test_an_experiment_goes_to_another_clone_by_way_of_a_bare_repository(two_models, tmp_path):
    mine = shutil.copytree(two_models, tmp_path / "mine", symlinks=True)
    run(tmp_path, "git", "init", "-q", "--bare", "-b", "main", "hub.git")
    run(mine, "git", "remote", "add", "origin", str(tmp_path / "hub.git"))
    run(mine, "git", "push", "-q", "origin", "HEAD")
    run(mine, "dvc", "exp", "run", "-n", "wider", "-S", "probe.head=dense1024", "probe")
    run(mine, "dvc", "exp", "push", "origin", "wider")
    theirs = clone(tmp_path / "hub.git", "theirs")
    run(theirs, "dvc", "exp", "pull", "origin", "wider")
    run(theirs, "dvc", "exp", "apply", "wider")
    path = "models/pneumonia/cnn/probe-none-seed1-all.keras"
    assert (theirs / path).read_bytes() == (mine / path).read_bytes()
    assert "head: dense1024" in (theirs / "params.yaml").read_text()


def test_a_rate_given_on_the_command_line_arrives_as_a_number(two_models):
    folder = clone(two_models, "rate")
    run(folder, "dvc", "pull")
    done = run(folder, "dvc", "exp", "run", "-S", "train.learning_rate=3e-5", "-S", "train.epochs=1", "train")
    assert stages_run(done.stdout)[:2] == ["code", "train@pneumonia-cnn-none-1-all"]
    history = pd.read_csv(folder / "data/predictions/pneumonia/cnn/train-none-seed1-all/history.csv")
    assert history["learning_rate"].tolist() == pytest.approx([0.5 * 3e-5])  # times the backbone's factor
    # Nothing was evaluated: the metrics are still those of the last commit.
    stale = states(folder)["workspace"]
    assert stale == "stale: evaluate@pneumonia read another version of data/predictions/pneumonia/cnn"
    refusal = refused(run(folder, "chest-transfer", "report", check=False))
    assert "evaluate@pneumonia is not of the settings in params.yaml: evaluate@pneumonia read another" in refusal
    assert refusal.endswith("run: dvc repro")


def states(folder: Path) -> dict[str, str]:
    """The state of each experiment in the leaderboard."""
    table = pd.read_csv(io.StringIO(run(folder, "chest-transfer", "leaderboard", "--csv").stdout))
    assert (table[["auc", "accuracy"]].notna().all(axis=1) == (table["state"] == "finished")).all()
    return dict(zip(table["experiment"], table["state"], strict=True))


def test_a_grid_is_queued_and_experiments_that_are_not_finished_have_no_scores(two_models):
    folder = clone(two_models, "grid")
    run(folder, "dvc", "exp", "run", "--queue", "-S", "model=cnn,mobilenetv2")
    assert run(folder, "dvc", "queue", "status").stdout.count("Queued") == 2
    assert states(folder) == {"workspace": "finished"} | dict.fromkeys(queued(folder), "queued")
    run(folder, "dvc", "queue", "remove", "--all")
    run(folder, "dvc", "exp", "run", "-n", "fails", "-S", "model=resnet99", check=False)
    assert states(folder) == {
        "workspace": "stale: evaluate@pneumonia ran with another value of model",
        "main": "finished",
    }
    change_settings(folder / "params.yaml", model="cnn", train__epochs=9)
    assert states(folder)["workspace"] == "stale: train@pneumonia-cnn-none-1-all ran with another value of train.epochs"


def queued(folder: Path) -> list[str]:
    lines = run(folder, "dvc", "queue", "status").stdout.splitlines()
    return [line.split()[1] for line in lines if line.endswith("Queued")]


def test_the_lock_is_verified_without_any_data(two_models):
    folder = clone(two_models, "verified")
    # Without the report: of `metrics`, on which it depends, a clone has but what Git keeps.
    targets = ("best", "explain", "stress", "overlap", "told_apart", "pictures")
    assert stages_run(run(folder, "dvc", "repro", "--dry", "--allow-missing", *targets).stdout) == []
    change_settings(folder / "params.yaml", train__learning_rate=1e-4)
    changed = run(folder, "dvc", "repro", "--dry", "--allow-missing", check=False)
    assert stages_run(changed.stdout) == ["code"]
    assert "failed to reproduce 'train@pneumonia-cnn-none-1-all'" in changed.stderr


def test_a_comment_reruns_the_fingerprints_and_nothing_else(two_models):
    folder = clone(two_models, "comment")
    run(folder, "dvc", "pull")
    module = folder / "src/chest_transfer/errors.py"
    module.write_text(module.read_text() + "\n# A comment.\n")
    assert stages_run(run(folder, "dvc", "repro").stdout) == ["code"]
    module.write_text(module.read_text() + "\nADDED = 1\n")
    run(folder, "dvc", "repro", "code")
    assert len(stages_run(run(folder, "dvc", "repro", "--dry").stdout)) > 5


def test_an_experiment_with_fewer_models_leaves_nothing_that_the_next_one_reads(two_models):
    folder = clone(two_models, "fewer")
    run(folder, "dvc", "pull")
    lock, metrics = ((folder / name).read_text() for name in ("dvc.lock", "metrics/pneumonia.json"))
    run(folder, "dvc", "exp", "run", "-S", "train.weights=[]", "explain", "best")
    assert not (folder / "data/predictions/pneumonia/cnn/train-none-seed1-all").exists()
    assert "train" not in json.loads((folder / "metrics/pneumonia.json").read_text())["pneumonia"]
    ran = stages_run(run(folder, "dvc", "exp", "run", "-S", "train.weights=[none]").stdout)
    assert not [name for name in ran if name.startswith("train@")], "its model comes out of DVC's cache"
    assert (folder / "metrics/pneumonia.json").read_text() == metrics
    assert (folder / "dvc.lock").read_text() == lock
