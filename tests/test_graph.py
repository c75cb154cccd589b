"""dvc.yaml against the code: a changed module or setting reruns the stages that use it, and no others."""

import ast
import hashlib
import json
import re
import shutil
import sys
from pathlib import Path

import pytest
from conftest import ROOT, TOY, all_stages, run, toy_repository
from settings_trace import leaves

from chest_transfer.data.catalog import CATALOG
from chest_transfer.networks.facts import ClassifierFacts
from chest_transfer.networks.saving import read_facts
from chest_transfer.source_code import NOT_FOLLOWED, import_closure, stage_fingerprint
from chest_transfer.yaml_files import read_yaml

STAGES = read_yaml(ROOT / "dvc.yaml")["stages"]
SCRIPTS = {stage: f"stages/{definition['cmd'].split()[2].split('.')[1]}.py" for stage, definition in STAGES.items()}
# Settings that a stage reads and whose change cannot change its result.
WITHOUT_EFFECT = {"sources": {"datasets", "external"}, "download": {"threads"}}
# Settings that are in data/sources/D.json, on which the stage depends instead.
WITHOUT_EFFECT["download"] |= {"source", "sources", "own", "pools", "phantom"}
WITHOUT_EFFECT["external_download"] = WITHOUT_EFFECT["download"]
# Settings that a stage reads only in experiments other than the one that is traced: with a pool, with an unreadable
# image, with starting weights from a file, and with degradations.
READ_ELSEWHERE = {
    "sources": {f"preprocess.{key}" for key in read_yaml(ROOT / "params.yaml")["preprocess"]},
    "preprocess": {"preprocess.max_skipped"}, "external_preprocess": {"preprocess.max_skipped"},
    "pretrained": {"weights_files", "partial_weights"},
    **{stage: {"embed.augmentation.degraded_share"} for stage in ("embed", "embed_random")},
    "pictures": {"train.augmentation.degraded_share"},
}  # fmt: skip
# Stages that write files for Git.
IN_GIT = ("sources", "explore", "overlap", "told_apart", "evaluate", "stress", "external_evaluate")


def test_every_stage_depends_on_the_fingerprint_of_its_own_code():
    for stage in STAGES:
        if stage != "code":
            assert f"data/code/{SCRIPTS[stage].split('/')[1].removesuffix('.py')}" in STAGES[stage]["deps"], stage
            assert not [dep for dep in STAGES[stage]["deps"] if dep.endswith((".py", ".md", ".html"))], stage


def imported_files(script: str) -> set[str]:
    """Every file of this project that a fresh interpreter has loaded after importing a stage script's imports."""
    return {path.relative_to(ROOT).as_posix() for path in import_closure(ROOT / script, ROOT)}


@pytest.mark.parametrize("script", sorted(set(SCRIPTS.values())))
def test_a_fingerprint_lists_the_script_and_all_that_it_imports(script):
    listed = {line.split()[0] for line in stage_fingerprint(ROOT / script, ROOT).splitlines()}
    assert script in listed
    assert "stages/__init__.py" in listed
    waiting, seen = [ROOT / script], set()
    while waiting:
        path = waiting.pop()
        seen.add(path)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("chest_transfer"):
                file = ROOT / "src" / (node.module.replace(".", "/") + ".py")
                is_followed = file.exists() and node.module not in NOT_FOLLOWED and not in_type_checking(path, node)
                if is_followed and file not in seen:
                    assert file.relative_to(ROOT).as_posix() in listed, f"{path.name} imports {node.module}"
                    waiting.append(file)


def in_type_checking(path, node) -> bool:
    """Whether an import is only for type checkers: it is indented under `if TYPE_CHECKING:`."""
    lines = path.read_text().splitlines()
    above = [line for line in lines[: node.lineno - 1] if line and not line.startswith(" ")]
    return node.col_offset > 0 and bool(above) and above[-1].startswith("if TYPE_CHECKING")


class TestFingerprints:
    @pytest.fixture
    def project(self, tmp_path):
        for folder in ("src", "stages"):
            shutil.copytree(
                ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        return tmp_path

    @staticmethod
    def all_of(project) -> dict[str, str]:
        return {script: stage_fingerprint(project / script, project) for script in set(SCRIPTS.values())}

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("FOCAL_GAMMA = 2.0", "# A comment.\nFOCAL_GAMMA = (\n    2.0\n)"),
            ('    """Return the loss function', '    """Return another docstring'),
            ("from keras import ops\n\n", "from keras import ops\n\n\n\n"),
        ],
    )
    def test_comments_docstrings_and_formatting_change_none(self, project, old, new):
        before, module = self.all_of(project), project / "src/chest_transfer/training/losses.py"
        assert old in module.read_text()
        module.write_text(module.read_text().replace(old, new, 1))
        assert self.all_of(project) == before

    def test_a_changed_module_changes_those_of_the_stages_that_import_it(self, project):
        before, module = self.all_of(project), project / "src/chest_transfer/training/losses.py"
        module.write_text(module.read_text().replace("FOCAL_GAMMA = 2.0", "FOCAL_GAMMA = 3.0"))
        after = self.all_of(project)
        changed = {script.split("/")[1] for script in before if before[script] != after[script]}
        assert changed == {"pretrained.py", "probe.py", "train.py", "finetune.py", "transfer.py"}

    @pytest.mark.parametrize(
        ("module", "old", "new"),
        [
            ("evaluation/operating_points.py", '"sensitivity 0.95": 0.95', '"sensitivity 0.99": 0.99'),
            ("evaluation/curves.py", "MOST_POINTS = 200", "MOST_POINTS = 100"),
            ("evaluation/headline.py", '"specificity"', '"specificity", "f1"'),
            ("evaluation/out_of_distribution.py", "COMPONENTS = 20", "COMPONENTS = 10"),
            ("serving/packing.py", 'PREFIX = "', 'PREFIX = "_'),
            ("settings.py", "ge=0.05, le=0.5", "ge=0.01, le=0.5"),
        ],
    )
    def test_a_new_operating_point_curve_or_column_retrains_nothing(self, project, module, old, new):
        before, file = self.all_of(project), project / "src/chest_transfer" / module
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))
        after = self.all_of(project)
        changed = {script.split("/")[1].removesuffix(".py") for script in before if before[script] != after[script]}
        assert not changed & {"download", "preprocess", "pretrained", "embed", "probe", "train", "finetune", "transfer"}
        assert changed or module == "settings.py"

    def test_another_public_dataset_trains_nothing_again(self, project):
        before, sets = self.all_of(project), project / "src/chest_transfer/data/public_sets/public_sets.yaml"
        sets.write_text(sets.read_text() + "\n# another one\n")
        after = self.all_of(project)
        changed = {script.split("/")[1].removesuffix(".py") for script in before if before[script] != after[script]}
        assert changed == {"sources", "download"}

    def test_a_changed_template_changes_that_of_the_report(self, project):
        before, template = self.all_of(project), project / "src/chest_transfer/reporting/page.html"
        template.write_text(template.read_text() + " ")
        after = self.all_of(project)
        assert [script for script in before if before[script] != after[script]] == ["stages/report.py"]


def resolved(stage: str) -> set[str]:
    """The paths or keys of a list in dvc.yaml, without what `${...}` stands for."""
    return {re.sub(r"\$\{.*?\}", "*", str(name)) for name in STAGES[stage].get("params", [])}


@pytest.fixture(scope="module")
def every_kind_of_model(tmp_path_factory) -> Path:
    """A repository with an experiment of every kind of model; read.json beside it lists the settings that were read."""
    folder = tmp_path_factory.mktemp("traced")
    settings = TOY | {
        "datasets": ["pneumonia", "tuberculosis"], "weights": ["phantom"], "finetune__weights": ["phantom"],
        "external": ["covid"], "transfer__sources": ["tuberculosis"], "transfer__weights": "phantom", "embed__views": 1,
        "preprocess__region": "lungs", "lungs__patients": 20, "lungs__epochs": 1, "representations": ["pneumonia"],
        "train__weights": ["phantom"], "phantom__patients": 40, "probe__epochs": 1, "finetune__epochs": 1,
        "train__epochs": 1, "transfer__epochs": 1, "threads": 1,  # simulated in this process, where reading is traced
    }  # fmt: skip
    repository = toy_repository(folder, **settings)
    all_stages(repository, TRACED_SETTINGS=str(folder / "read.json"))
    return repository


@pytest.fixture(scope="module")
def traced(every_kind_of_model) -> dict[str, list[str]]:
    """The leaves of params.yaml that each stage reads."""
    return json.loads((every_kind_of_model.parent / "read.json").read_text())


@pytest.mark.slow
def test_the_graph_transfers_from_one_dataset_to_the_next(every_kind_of_model):
    metrics = json.loads((every_kind_of_model / "metrics/detail/pneumonia.json").read_text())
    assert set(metrics) == {"probe", "finetune", "train", "as_is", "adapted", "transfer"}
    for regime in ("as_is", "adapted", "transfer"):
        scores = metrics[regime]["tuberculosis"]
        assert scores["overlap"] == 0
        assert scores["auc_with_overlap"] == scores["auc"]
    assert "fit" not in metrics["as_is"]["tuberculosis"]  # it is not fitted to this dataset
    assert metrics["transfer"]["tuberculosis"]["fit"]
    printed = run(every_kind_of_model, sys.executable, "-m", "chest_transfer.reporting.score_table").stdout
    assert all(regime in printed for regime in metrics)
    facts = read_facts(
        every_kind_of_model / "models/pneumonia/cnn/transfer-tuberculosis-seed1-all.keras", ClassifierFacts
    )
    assert (facts.dataset, facts.source, facts.weights) == ("pneumonia", "tuberculosis", "phantom")


@pytest.mark.slow
@pytest.mark.parametrize("stage", [stage for stage in STAGES if stage not in ("code", "report")])
def test_a_stage_lists_exactly_the_settings_that_it_reads(stage, traced):
    script = SCRIPTS[stage].removesuffix(".py").replace("/", ".")
    read = {leaf for leaf in traced[script] if leaf.split(".")[0] not in WITHOUT_EFFECT.get(stage, set())}
    of_file = leaves(read_yaml(ROOT / "params.yaml"))
    listed = {
        leaf
        for name in (name.replace("*", "cnn") for name in resolved(stage))
        for leaf in of_file
        if leaf == name or leaf.startswith(f"{name}.")
    }
    read = {leaf for leaf in read if not leaf.endswith(".alpha")}  # an option that this backbone has not
    assert read | READ_ELSEWHERE.get(stage, set()) == listed


def test_no_stage_depends_on_a_folder_that_other_experiments_fill_without_emptying_it():
    # Folders of which a stage reads all: it calls `keep_only` on each before it reads.
    shared = {
        "data/predictions/*/*",
        "models/*/*",
        "models/pretrained/*",
        "data/fingerprints",
        "data/out_of_distribution",
        "data/thumbnails",
    }
    outputs = [str(next(iter(out)) if isinstance(out, dict) else out) for definition in STAGES.values()
               for kind in ("outs", "metrics", "plots") for out in definition.get(kind, [])]  # fmt: skip
    outputs = [re.sub(r"\$\{.*?\}", "*", out) for out in outputs]
    for stage, definition in STAGES.items():
        for dep in definition["deps"]:
            dep = re.sub(r"\$\{.*?\}", "*", dep)
            if any(out.startswith(f"{dep}/") for out in outputs) and stage != "report":
                assert dep in shared, f"{stage} depends on {dep}"
                assert "keep_only(" in (ROOT / SCRIPTS[stage]).read_text()


def test_the_lock_file_is_of_this_code_and_of_these_metrics():
    lock = read_yaml(ROOT / "dvc.lock")["stages"]
    names = set(re.findall(r"^  ([\w@-]+):", (ROOT / "dvc.lock").read_text(), re.MULTILINE))
    assert names >= {"code", "report"}
    fingerprints = {
        path: hashlib.md5(stage_fingerprint(ROOT / path.replace("data/code", "stages").__add__(".py"), ROOT).encode())
        for path in {dep["path"] for stage in lock.values() for dep in stage["deps"] if "data/code/" in dep["path"]}
    }
    model = read_yaml(ROOT / "params.yaml")["model"]
    for name, stage in lock.items():
        if "-" in name and f"-{model}" not in name:  # of another backbone: whoever asks for it makes it again
            continue
        for dep in stage["deps"]:
            if dep["path"] in fingerprints:
                assert dep["md5"] == fingerprints[dep["path"]].hexdigest(), f"{name}: run dvc repro and commit dvc.lock"
        for out in stage.get("outs", []):
            if out["path"].startswith("metrics/") and not out["path"].startswith(
                ("metrics/explained/", "metrics/regions/")
            ):
                content = (ROOT / out["path"]).read_bytes()
                assert out["md5"] == hashlib.md5(content).hexdigest(), f"{out['path']} is not of this dvc.lock"


@pytest.mark.parametrize("stage", STAGES)
def test_expensive_stages_keep_nothing_in_git(stage):
    # A metric in Git beside large outputs keeps DVC from pulling them: it trains again instead.
    definition = STAGES[stage]
    outs = [out for kind in ("outs", "metrics", "plots") for out in definition.get(kind, [])]
    uncached = [out for out in outs if isinstance(out, dict) and not next(iter(out.values())).get("cache", True)]
    if stage in IN_GIT:
        assert uncached == outs
    else:
        assert not uncached


def test_metrics_carry_no_models_name_and_models_do():
    for out in STAGES["evaluate"]["metrics"] + STAGES["evaluate"]["plots"]:
        assert "model" not in next(iter(out))
    for stage in ("pretrained", "embed", "probe", "train"):
        assert STAGES[stage]["matrix"]["model"] == ["${model}"]
        assert all("${item.model}" in out for out in STAGES[stage]["outs"])


def test_stage_scripts_are_thin_and_nothing_imports_them():
    for script in ROOT.glob("stages/*.py"):
        assert len(script.read_text().splitlines()) <= 40, script.name
    for module in ROOT.glob("src/**/*.py"):
        assert "stages" not in re.findall(r"^(?:from|import) (\w+)", module.read_text(), re.MULTILINE)


ROOMS = [
    "errors",
    "sections",
    "machine",
    "files",
    "yaml_files",
    "git",
    "source_code",
    "lockfile",
    "workers",
    "mending",
    "storage",
    "recorded_files",
    "model_names",
    "data",
    "networks",
    "phantom",
    "obtaining",
    "training",
    "evaluation",
    "setting_types",
    "settings_checks",
    "network_checks",
    "settings",
    "analysis",
    "reporting",
    "serving",
    "cluster",
    "cli",
]


@pytest.mark.parametrize("path", sorted((ROOT / "src").glob("**/*.py")), ids=lambda path: path.stem)
def test_imports_point_one_way(path):
    room = path.relative_to(ROOT / "src/chest_transfer").parts[0].removesuffix(".py")
    at_run_time = re.sub(r"if TYPE_CHECKING:\n(    .*\n)+", "", path.read_text())
    used = set(re.findall(r"(?:from|import) chest_transfer\.(\w+)", at_run_time))
    if room in ROOMS:
        assert used <= set(ROOMS[: ROOMS.index(room) + 1])
    assert room not in ("data", "networks", "training", "evaluation") or "phantom" not in used


def test_the_default_experiment_names_datasets_of_the_catalog():
    assert set(read_yaml(ROOT / "params.yaml")["datasets"]) <= set(CATALOG)
