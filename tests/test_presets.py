"""The presets: each is a complete params.yaml, each line of its grid a valid experiment, and its settings run."""

import json
import re
import shlex
import shutil
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from conftest import ROOT, all_stages, change_settings, run
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps
from settings_trace import MAPPINGS

from chest_transfer.settings import read_settings
from chest_transfer.yaml_files import read_yaml

PRESETS = sorted(ROOT.glob("presets/*.yaml"))
NAMES = [path.stem for path in PRESETS]
LINES = [
    (path, line) for path in PRESETS for line in re.findall(r"^# .*(dvc exp run --queue .*)$", path.read_text(), re.M)
]

TOY = {
    "source": "phantom",
    "image_size": 32,
    "threads": 1,  # two tests run at once
    "phantom__patients": 40,
    "phantom__image_size": 32,
    "probe__epochs": 1,
    "finetune__epochs": 1,
    "train__epochs": 1,
    "evaluate__rounds": 100,
}
SMALLER = {"vgg16": "cnn", "resnet50": "cnn"}


def keys_of(section: dict, path: tuple = ()) -> set[tuple]:
    keys = set()
    for key, value in section.items():
        is_section = isinstance(value, dict) and key not in MAPPINGS
        keys |= {(*path, key)} | (keys_of(value, (*path, key)) if is_section else set())
    return keys


@pytest.mark.parametrize("path", PRESETS, ids=NAMES)
def test_a_preset_has_the_keys_of_params_yaml(path):
    assert keys_of(read_yaml(path)) == keys_of(read_yaml(ROOT / "params.yaml"))
    assert read_settings(path).source == "kaggle"


@pytest.mark.parametrize("path", PRESETS, ids=NAMES)
def test_a_preset_states_how_to_run_it_and_what_was_published(path):
    text = path.read_text()
    assert f"cp presets/{path.name} params.yaml && dvc repro" in text
    assert "# Published" in text
    assert "# Where this differs, and why:" in text


@pytest.mark.parametrize(
    ("path", "line"), LINES, ids=[f"{path.stem}-{number}" for number, (path, _) in enumerate(LINES)]
)
def test_each_line_of_a_grid_gives_valid_experiments(path, line, tmp_path):
    words = shlex.split(line)
    values = [value for option, value in pairwise(words) if option == "-S"]
    for sweep in get_hydra_sweeps(to_path_overrides(values)):
        shutil.copy(path, tmp_path / "params.yaml")
        apply_overrides(tmp_path / "params.yaml", sweep["params.yaml"])
        read_settings(tmp_path / "params.yaml")


# One of several classes and one of several findings, in place of their first.
DATASETS = {"tb-covid": "covid", "chest-diagnosis": "nih"}


@pytest.fixture(scope="module")
def experiments(tmp_path_factory) -> dict[str, Path]:
    """A folder for each preset, in which its experiment has been run at toy size."""
    folders = {}
    for path in PRESETS:
        folders[path.stem] = folder = tmp_path_factory.mktemp(path.stem)
        for name in ("dvc.yaml", "stages", "src"):
            (folder / name).symlink_to(ROOT / name)
        # The weights of ImageNet cannot be downloaded in a test: random weights take their place.
        text = path.read_text().replace("[none, imagenet]", "[none]").replace("[imagenet]", "[none]")
        (folder / "params.yaml").write_text(text)
        settings = read_settings(folder / "params.yaml")
        model, dataset = SMALLER.get(settings.model, settings.model), DATASETS.get(path.stem, settings.datasets[0])
        change_settings(folder / "params.yaml", **TOY, model=model, datasets=[dataset], transfer__target=dataset)
        run(folder, "dvc", "init", "--no-scm", "-q")
        shutil.copytree(ROOT / ".dvc/plots", folder / ".dvc/plots", dirs_exist_ok=True)
    all_stages(*folders.values())
    return folders


@pytest.mark.parametrize("name", NAMES)
def test_its_settings_run_at_toy_size_on_simulated_radiographs(experiments, name):
    settings = read_settings(experiments[name] / "params.yaml")
    metrics = json.loads((experiments[name] / f"metrics/detail/{settings.datasets[0]}.json").read_text())
    assert set(metrics["probe"]) == set(settings.weights)
    assert set(metrics.get("finetune", {})) == set(settings.finetune.weights)
    assert set(metrics.get("train", {})) == set(settings.train.weights)
    assert (experiments[name] / f"models/{settings.datasets[0]}/{settings.model}").is_dir()


def test_several_classes_and_several_findings_go_through_the_whole_graph(experiments):
    header = next((experiments["chest-diagnosis"] / "data/predictions").rglob("test.csv")).read_text().splitlines()[0]
    assert header.endswith("log_odds:Pleural_Thickening,log_odds:Hernia")
    confusion = pd.read_csv(experiments["chest-diagnosis"] / "metrics/plots/nih/confusion.csv")
    assert set(confusion["predicted"]) == {"found", "missed"}
    page = run(experiments["tb-covid"], "dvc", "plots", "show").stdout.strip().splitlines()[-1].removeprefix("file://")
    assert "ROC, covid test" in Path(page).read_text()
