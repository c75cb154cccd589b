"""Models by name: a file, or what DVC keeps of this or another revision, pulled if it is not here."""

import os
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from chest_transfer.errors import ChestTransferError, unknown_name
from chest_transfer.files import whole
from chest_transfer.lockfile import made, parsed


def model_file(name: str, revision: str | None = None) -> Path:
    """The file of a model.

    Args:
        name: a path; or `dataset/backbone/way-start` (`pneumonia/xception/finetune-imagenet`); or `dataset/way-start`,
            of the experiment's backbone; or `dataset` alone: its model with the best area on validation (`best@D`).
        revision: of Git, None for the workspace. Without the file here, it is fetched from DVC's cache or remote.

    Raises:
        ChestTransferError: no such model, revision or remote.
    """
    if revision is None and Path(name).is_file():
        return Path(name)
    outputs = _outputs(revision)
    path = _path(name, outputs, revision)
    if revision is None and Path(path).is_file():
        return Path(path)
    kept = _cache() / f"{outputs[path]}.keras"
    if not kept.exists():
        _fetch(path, revision, kept)
    return kept


def _path(name: str, outputs: dict[str, str], revision: str | None) -> str:
    parts, known = name.removesuffix(".keras").removeprefix("models/").split("/"), _names(outputs)
    dataset = parts[0]
    if dataset not in {one.split("/")[0] for one in known}:
        raise unknown_name("model", name, known or ["none yet"], "run: dvc repro")
    if len(parts) == 1:
        parts = ["best", dataset]
    elif len(parts) == 2:
        parts = [dataset, _backbone(revision), parts[1]]
    path = f"models/{'/'.join(parts)}.keras"
    if path not in outputs:
        raise unknown_name("model", "/".join(parts), known, "run: dvc repro")
    return path


def _names(outputs: dict[str, str]) -> list[str]:
    names = [path.removeprefix("models/").removesuffix(".keras") for path in outputs]
    return sorted(name for name in names if not name.startswith("best/"))


def _outputs(revision: str | None) -> dict[str, str]:
    """Model file -> MD5, of every classifier that dvc.lock knows."""
    return {
        out["path"]: out["md5"]
        for out in made(parsed(_text("dvc.lock", revision)))
        if out["path"].startswith("models/") and not out["path"].startswith("models/pretrained/")
    }


def _backbone(revision: str | None) -> str:
    return str(YAML(typ="safe", pure=True).load(_text("params.yaml", revision))["model"])


def _text(path: str, revision: str | None) -> str:
    try:
        if revision is None:
            return Path(path).read_text()
        words = ["git", "show", f"{revision}:{path}"]
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise ChestTransferError(
            f"no '{path}' here, where models are looked up by name; run from the project's folder, or name a file"
        ) from None
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1]
        raise ChestTransferError(f"revision '{revision}' has no '{path}' ({reason}); see: git log --all") from None


def _fetch(path: str, revision: str | None, target: Path) -> None:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException

    try:
        with whole(target) as aside:
            DVCFileSystem(os.curdir, rev=revision).get_file(path, str(aside))
    except (DvcException, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ChestTransferError(
            f"'{path}' is neither here nor in DVC's cache or remote ({reason}); run: dvc pull {path}, or: dvc repro"
        ) from None


def _cache() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "chest-transfer/models"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
