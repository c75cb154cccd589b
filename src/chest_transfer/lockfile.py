"""dvc.lock: what each stage made of what, by hash."""

from pathlib import Path

from ruamel.yaml import YAML

from chest_transfer.files import whole

LOCK = Path("dvc.lock")


def parsed(text: str) -> dict:
    """The content of a dvc.lock; of an empty one, what DVC would begin with."""
    return _yaml().load(text) or {"schema": "2.0", "stages": {}}


def made(content: dict) -> list[dict]:
    """Every output, with its `path` and `md5`, in the order of stages."""
    return [out for stage in content["stages"].values() for out in stage.get("outs", [])]


def read_lock(folder: Path = Path()) -> dict:
    """The content of a folder's dvc.lock, as `parsed`; without one, as of an empty one."""
    path = folder / LOCK
    return parsed(path.read_text() if path.exists() else "")


def write_lock(content: dict, folder: Path = Path()) -> None:
    """Replace a folder's dvc.lock."""
    with whole(folder / LOCK) as aside:
        _yaml().dump(content, aside)


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    return yaml
