"""dvc.lock: the hashes of the dependencies and outputs of each stage."""

from pathlib import Path

from ruamel.yaml import YAML

from chest_transfer.files import whole

LOCK = Path("dvc.lock")


def parsed(text: str) -> dict:
    """Parse the text of a dvc.lock. An empty one has no stages."""
    return _yaml().load(text) or {"schema": "2.0", "stages": {}}


def made(content: dict) -> list[dict]:
    """Return all outputs in a dvc.lock, each with its `path` and `md5`, in the order of stages."""
    return [out for stage in content["stages"].values() for out in stage.get("outs", [])]


def read_lock(folder: Path = Path()) -> dict:
    """Read the dvc.lock in `folder`. A missing one has no stages."""
    path = folder / LOCK
    return parsed(path.read_text() if path.exists() else "")


def write_lock(content: dict, folder: Path = Path()) -> None:
    """Replace the dvc.lock in `folder`."""
    with whole(folder / LOCK) as aside:
        _yaml().dump(content, aside)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    return yaml
