"""The README and the pages in docs/: their commands run as they stand, their tables say what the code says."""

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

README = (ROOT / "README.md").read_text()
PAGES = {path.stem: path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))}
# In an order in which each page finds what it needs.
RUN = [README] + [
    PAGES[name] for name in ("experiments", "training", "statistics", "using-a-model", "paper", "sharing")
]
# Without the messages, whose settings are mistakes.
TEXT = "\n".join([README, *(text for name, text in PAGES.items() if name != "messages")])
BLOCKS = [block for page in RUN for block in re.findall(r"```bash\n(.*?)```", page, re.DOTALL)]
COMMANDS = list(dict.fromkeys(line.split("  #")[0].rstrip() for block in BLOCKS for line in block.splitlines()))
SET_UP = ("make repro", "make test")
# Probes of few patients are enough to see that a command works.
SMALL = TOY | {"phantom__patients": 40, "train__weights": []}


def test_the_two_commands_are_targets_that_set_up_the_environment():
    assert COMMANDS[0] == SET_UP[0]
    for command in SET_UP:
        assert command in COMMANDS
        dry = run(ROOT, *command.split(), "--dry-run", "--always-make").stdout
        assert "-m venv .venv" in dry
        assert "--require-hashes -r requirements.lock" in dry


def test_every_other_command_runs_as_it_stands(tmp_path):
    folder = toy_repository(tmp_path, **SMALL)
    all_recorded(folder)
    commit(folder, "First run")
    outputs = {}
    for command in [command for command in COMMANDS if command not in SET_UP]:
        where = folder
        if "--pull" in command:  # the README runs it in a fresh clone
            run(tmp_path, "git", "clone", "-q", str(folder), "clone")
            where = tmp_path / "clone"
        command_here = command.replace("/tmp/chest-transfer-remote", str(tmp_path / "remote"))
        outputs[command] = run(where, "bash", "-ec", command_here).stdout
    compared = outputs["chest-transfer compare linear"]
    assert re.search(r"probe.head +dense256 +linear", compared)
    assert re.search(r"pneumonia +probe none +0\.\d{3} +0\.\d{3} +[+\u2212]0\.\d{3}", compared)
    assert outputs["chest-transfer compare"].splitlines()[1].split()[0] == "probe.head"
    assert "equal to the byte" in outputs["chest-transfer verify"]
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
    row = next(line for line in PAGES["real-data"].splitlines() if line.startswith(f"| `{name}` |"))
    unknown = getattr(CATALOG[name].layout, "patient_of", None) is no_patient
    assert unknown == row.split("|")[5].strip().startswith("no")


def test_models_are_used_in_python_as_it_says(evaluated):
    predict, network = re.findall(r"```python\n(.*?)```", PAGES["using-a-model"], re.DOTALL)
    done = run(evaluated, "python", "-c", predict.replace('"pneumonia")', '"pneumonia/cnn/train-none-seed1-all")'))
    assert "answer" in predict
    assert re.search(r"\[\d+ rows x 5 columns\]", done.stdout)
    head = "import numpy as np\nimages = np.zeros((3, 32, 32, 1), np.uint8)\n"
    done = run(evaluated, "python", "-c", head + network + "\nprint(probabilities.shape)")
    assert done.stdout.splitlines()[-1] == "(3, 2)"


def test_your_own_radiographs_as_it_says(tmp_path):
    blocks = re.findall(r"```(\w*)\n(.*?)```", PAGES["your-own-radiographs"], re.DOTALL)
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


@pytest.mark.parametrize("page", ["README", *PAGES])
def test_every_file_and_heading_that_it_links_to_exists(page):
    text, folder = (README, ROOT) if page == "README" else (PAGES[page], ROOT / "docs")
    for link in re.findall(r"\]\((?!http)([^)]+)\)", text):
        path, _, heading = link.partition("#")
        assert (folder / path).exists(), link
        if heading:
            linked = (folder / path).read_text() if path else text
            assert heading in map(anchor, re.findall(r"^#+ (.*)$", linked, re.MULTILINE)), link


def anchor(title: str) -> str:
    """The name that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def test_it_is_short_enough_to_read():
    lines = README.splitlines()
    assert len(lines) < 150
    sentences = re.split(r"[.!?:](?:\s|$)", re.sub(r"```.*?```|\|.*\|", "", README, flags=re.DOTALL))
    lengths = [len(sentence.split()) for sentence in sentences if sentence.strip()]
    assert sum(lengths) / len(lengths) < 15


def test_its_settings_exist():
    settings = (ROOT / "params.yaml").read_text()
    for key in re.findall(r"-S '?([\w.]+)=", TEXT):
        assert re.search(rf"^\s*{key.split('.')[-1]}:", settings, re.MULTILINE), key
