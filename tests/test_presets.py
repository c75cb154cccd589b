"""The presets: each is a whole params.yaml, every line of its grid is a valid experiment, and its first model runs."""

import json
import re
import shlex
import shutil
from itertools import pairwise

import pytest
from conftest import ROOT, all_stages, change_settings, run
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps
from ruamel.yaml import YAML

from chest_transfer.settings import read_settings

PRESETS = sorted(ROOT.glob("presets/*.yaml"))
NAMES = [path.stem for path in PRESETS]
LINES = [
    (path, line) for path in PRESETS for line in re.findall(r"^# .*(dvc exp run --queue .*)$", path.read_text(), re.M)
]

TOY = {
    "source": "phantom",
    "image_size": 32,
    "phantom__patients": 60,
    "phantom__image_size": 48,
    "probe__epochs": 2,
    "finetune__epochs": 1,
    "train__epochs": 1,
}


def keys_of(section: dict, path: tuple = ()) -> set[tuple]:
    found = set()
    for key, value in section.items():
        found |= {(*path, key)} | (keys_of(value, (*path, key)) if isinstance(value, dict) else set())
    return found


@pytest.mark.parametrize("path", PRESETS, ids=NAMES)
def test_a_preset_has_the_keys_of_params_yaml(path):
    yaml = YAML(typ="safe", pure=True)
    assert keys_of(yaml.load(path)) == keys_of(yaml.load(ROOT / "params.yaml"))
    assert read_settings(path).source == "kaggle"


@pytest.mark.parametrize("path", PRESETS, ids=NAMES)
def test_a_preset_tells_how_it_is_run_and_what_was_published(path):
    text = path.read_text()
    assert f"cp presets/{path.name} params.yaml && dvc repro" in text
    assert "# Published" in text
    assert "# Where this differs, and why:" in text


@pytest.mark.parametrize(
    ("path", "line"), LINES, ids=[f"{path.stem}-{number}" for number, (path, _) in enumerate(LINES)]
)
def test_each_line_of_a_grid_asks_for_valid_experiments(path, line, tmp_path):
    words = shlex.split(line)
    values = [value for option, value in pairwise(words) if option == "-S"]
    for sweep in get_hydra_sweeps(to_path_overrides(values)):
        shutil.copy(path, tmp_path / "params.yaml")
        apply_overrides(tmp_path / "params.yaml", sweep["params.yaml"])
        read_settings(tmp_path / "params.yaml")


@pytest.mark.parametrize("path", PRESETS, ids=NAMES)
def test_its_first_model_runs_at_toy_size_on_phantoms(path, tmp_path):
    for name in ("dvc.yaml", "stages", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    # ImageNet's files cannot be fetched here: what would start from them starts from random weights.
    text = path.read_text().replace("[none, imagenet]", "[none]").replace("[imagenet]", "[none]")
    (tmp_path / "params.yaml").write_text(text)
    change_settings(tmp_path / "params.yaml", **TOY)
    run(tmp_path, "dvc", "init", "--no-scm", "-q")
    told = all_stages(tmp_path)
    settings = read_settings(tmp_path / "params.yaml")
    metrics = json.loads((tmp_path / f"metrics/{settings.datasets[0]}.json").read_text())
    assert set(metrics["probe"]) == set(settings.weights), told
    assert set(metrics.get("finetune", {})) == set(settings.finetune.weights)
    assert set(metrics.get("train", {})) == set(settings.train.weights)
    assert (tmp_path / f"models/{settings.datasets[0]}/{settings.model}").is_dir()
