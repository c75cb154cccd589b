"""The README: its commands run as they stand, its tables say what the code says."""

import re
import shutil

import pytest
from conftest import ROOT, TOY, all_recorded, commit, run, toy_repository
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps
from ward import write_ward

from chest_transfer.data.catalog import CATALOG
from chest_transfer.data.degradations import DEGRADATIONS
from chest_transfer.data.layouts import no_patient
from chest_transfer.networks.backbones import BACKBONES
from chest_transfer.yaml_files import parse_yaml

TEXT = (ROOT / "README.md").read_text()
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL) for line in block.splitlines()]
# Probes of few patients are enough to see that a command works.
SMALL = TOY | {"phantom__patients": 40, "train__weights": []}


def test_the_two_commands_are_targets_that_set_up_the_environment():
    assert COMMANDS[:2] == ["make repro", "make test"]
    for command in COMMANDS[:2]:
        dry = run(ROOT, *command.split(), "--dry-run", "--always-make").stdout
        assert "-m venv .venv" in dry
        assert "--require-hashes -r requirements.lock" in dry


def test_every_other_command_runs_as_it_stands(tmp_path):
    folder = toy_repository(tmp_path, **SMALL)
    all_recorded(folder)
    commit(folder, "First run")
    outputs = {}
    for command in COMMANDS[2:]:
        where = folder
        if "--pull" in command:  # the README runs it in a fresh clone
            run(tmp_path, "git", "clone", "-q", str(folder), "clone")
            where = tmp_path / "clone"
        command_here = command.replace("/tmp/chest-transfer-remote", str(tmp_path / "remote"))
        outputs[command] = run(where, "bash", "-ec", command_here).stdout
        if command == "dvc metrics diff":
            commit(folder, "mobilenetv2")
        if "probe.head" in command:  # what was run before is then there again
            run(folder, "git", "checkout", "-q", ".")
            run(folder, "dvc", "checkout", "-q")
    assert "probe.none." in outputs["dvc metrics diff"]
    assert outputs["dvc queue status"].count("Queued") == 2
    pulled = next(output for command, output in outputs.items() if "--pull" in command)
    assert not re.search("Running stage '(probe|pretrained|preprocess|download|pictures)@", pulled)
    assert (tmp_path / "clone/models/pneumonia/cnn/probe-none-seed1-all.keras").exists()


@pytest.mark.parametrize("name", BACKBONES)
def test_the_table_of_backbones_is_the_codes(name):
    row = BACKBONES[name]
    assert f"| `{name}` | {row.smallest} | {'yes' if row.imagenet else 'no'} |" in TEXT


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_the_table_of_degradations_is_the_codes(name):
    row = DEGRADATIONS[name]
    assert f"| `{name}` | {row.unit} | {', '.join(f'{level:g}' for level in row.levels)} |" in TEXT


@pytest.mark.parametrize("name", CATALOG)
def test_the_table_of_datasets_is_the_codes(name):
    row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |"))
    unknown = getattr(CATALOG[name].layout, "patient_of", None) is no_patient
    assert unknown == row.split("|")[5].strip().startswith("no")


def test_the_saved_model_is_used_as_the_readme_says(evaluated):
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL).group(1)
    head = "import numpy as np\nimages = np.zeros((3, 32, 32, 1), np.uint8)\n"
    done = run(evaluated, "python", "-c", head + code + "\nprint(probabilities.shape, facts['classes'])")
    assert done.stdout.splitlines()[-1] == "(3, 2) ['NORMAL', 'PNEUMONIA']"


def test_your_own_radiographs_as_it_says(tmp_path):
    section = TEXT.split("## Your own radiographs")[1].split("\n## ")[0]
    blocks = re.findall(r"```(\w*)\n(.*?)```", section, re.DOTALL)
    described, commands = parse_yaml(blocks[0][1]), blocks[1][1].splitlines()
    table = write_ward(tmp_path / "ward", 40).rename(columns=str.lower)
    table["diagnosis"] = table["diagnosis"].replace({"Normal ": "No finding", "pneumonia": "Consolidation"})
    table.to_csv(tmp_path / "ward.csv", index=False)
    folder = toy_repository(tmp_path, **SMALL, **described)
    checked = run(folder, *commands[0].split(), check=False)
    assert checked.returncode == 0
    assert checked.stdout.startswith("ward: 48 radiographs of 40 patients")
    assert "Pneumonia" in checked.stdout
    run(folder, "bash", "-ec", commands[1])
    assert (folder / "metrics/ward.json").exists()
    assert (folder / "report/index.html").exists()


def test_dvc_accepts_every_setting_that_a_command_changes(tmp_path):
    commands = re.findall(r"dvc exp run[^`\n]*|`-S [^`]+`", TEXT)
    for command in commands:
        values = [value.strip("'") for value in re.findall(r"-S ('[^']*'|[^\s`;]+)", command)]
        for sweep in get_hydra_sweeps(to_path_overrides([value for value in values if "$" not in value])):
            shutil.copy(ROOT / "params.yaml", tmp_path)
            apply_overrides(tmp_path / "params.yaml", sweep.get("params.yaml", []))
    assert len(commands) > 20


def test_every_file_that_it_links_to_exists():
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", TEXT):
        assert (ROOT / link).exists(), link


def test_its_settings_exist():
    settings = (ROOT / "params.yaml").read_text()
    for key in re.findall(r"-S '?([\w.]+)=", TEXT):
        assert re.search(rf"^\s*{key.split('.')[-1]}:", settings, re.MULTILINE), key
