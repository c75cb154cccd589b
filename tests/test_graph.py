"""dvc.yaml against the code: a changed module or setting reruns the stages that use it, and no others."""

import ast
import re
from pathlib import Path

import pytest
from conftest import ROOT
from ruamel.yaml import YAML

from chest_transfer.data.catalog import CATALOG
from chest_transfer.settings import Settings

STAGES = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
# Settings that a stage reads and whose change cannot change its result.
WITHOUT_EFFECT = {"download": {"threads"}, "preprocess": {"threads"}}


# Stages that run the same script differ in what they depend on.
SCRIPTS = {
    stage: ROOT / f"stages/{definition['cmd'].split()[2].split('.')[1]}.py" for stage, definition in STAGES.items()
}


def source_of(module: str) -> Path | None:
    """The file of a module of this project, None for any other."""
    base = ROOT / ("" if module.startswith("stages") else "src") / module.replace(".", "/")
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def imported_by(path: Path) -> set[Path]:
    """Every file of this project that importing `path` runs, late imports within functions included."""
    found, waiting = set(), [path]
    while waiting:
        current = waiting.pop()
        if current in found:
            continue
        found.add(current)
        names = set()
        for node in ast.walk(ast.parse(current.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        parents = {name.rsplit(".", depth)[0] for name in names for depth in range(name.count(".") + 1)}
        waiting += [source for name in names | parents if (source := source_of(name))]
    return {source for source in found if source.read_text()}


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_exactly_the_modules_that_it_imports(stage):
    script = SCRIPTS[stage]
    imported = imported_by(script) | {ROOT / "stages/__init__.py"}
    listed = {ROOT / dep for dep in STAGES[stage]["deps"] if dep.endswith(".py")}
    missing = sorted(str(path.relative_to(ROOT)) for path in imported - listed)
    assert not missing, f"add to the deps of {stage} in dvc.yaml: {missing}"
    superfluous = sorted(str(path.relative_to(ROOT)) for path in listed - imported)
    assert not superfluous, f"remove from the deps of {stage} in dvc.yaml: {superfluous}"


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_lists_exactly_the_settings_that_it_reads(stage):
    text = SCRIPTS[stage].read_text()
    read = set(re.findall(r"settings\.(\w+)", text)) & set(Settings.model_fields)
    for included in re.findall(r"model_dump\(include=\{(.+?)\}\)", text):
        read |= set(re.findall(r"\w+", included))
    listed = {name.split(".")[0] for name in STAGES[stage].get("params", [])}
    assert listed == read - WITHOUT_EFFECT.get(stage, set())


@pytest.mark.parametrize("stage", STAGES)
def test_expensive_stages_keep_nothing_in_git(stage):
    # A metric in Git beside large outputs keeps DVC from pulling them: it trains again instead.
    definition = STAGES[stage]
    uncached = [
        out for kind in ("outs", "metrics", "plots") for out in definition.get(kind, []) if isinstance(out, dict)
    ]
    if stage in ("explore", "overlap", "evaluate"):
        assert all(isinstance(out, dict) for kind in ("outs", "metrics", "plots") for out in definition.get(kind, []))
        assert all(options["cache"] is False for out in uncached for options in out.values())
    else:
        assert not uncached


def test_metrics_carry_no_models_name_and_models_do():
    for out in STAGES["evaluate"]["metrics"] + STAGES["evaluate"]["plots"]:
        assert "model" not in next(iter(out))
    for stage in ("pretrained", "embed", "probe", "train"):
        assert STAGES[stage]["matrix"]["model"] == ["${model}"]
        assert all("${item.model}" in out for out in STAGES[stage]["outs"])


def test_the_best_model_of_every_dataset_is_an_artifact():
    artifacts = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["artifacts"]
    [out] = STAGES["best"]["outs"]
    assert {name: artifact["path"] for name, artifact in artifacts.items()} == {
        name: out.replace("${item.dataset}", name) for name in CATALOG
    }


def test_stage_scripts_are_thin_and_nothing_imports_them():
    for script in ROOT.glob("stages/*.py"):
        assert len(script.read_text().splitlines()) <= 40, script.name
    for module in ROOT.glob("src/**/*.py"):
        assert "stages" not in re.findall(r"^(?:from|import) (\w+)", module.read_text(), re.MULTILINE)


ROOMS = [
    "errors",
    "files",
    "lockfile",
    "workers",
    "mending",
    "settings",
    "data",
    "networks",
    "phantom",
    "training",
    "evaluation",
    "reporting",
    "serving",
    "cluster",
    "cli",
]


@pytest.mark.parametrize("path", sorted((ROOT / "src").glob("**/*.py")), ids=lambda path: path.stem)
def test_imports_point_one_way(path):
    room = path.relative_to(ROOT / "src/chest_transfer").parts[0].removesuffix(".py")
    used = set(re.findall(r"(?:from|import) chest_transfer\.(\w+)", path.read_text()))
    if room in ROOMS:
        assert used <= set(ROOMS[: ROOMS.index(room) + 1])
    assert room not in ("data", "networks", "training", "evaluation") or "phantom" not in used


def test_the_default_experiment_names_datasets_of_the_catalog():
    assert set(YAML(typ="safe", pure=True).load(ROOT / "params.yaml")["datasets"]) <= set(CATALOG)
