"""Starting weights of a backbone: verified, and never replaced by others without an error."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import BACKBONES, Backbone, backbone_named, build_backbone
from chest_transfer.networks.facts import StartingFacts

if TYPE_CHECKING:
    from chest_transfer.settings import Architecture, WeightsFile

BUILT_IN_WEIGHTS = ("none", "statistics", "phantom", "imagenet")  # names that need no entry in `weights_files`
KERAS_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications"


def load_starting_weights(
    name: str,
    weights: str,
    image_size: int,
    architecture: "Architecture",
    weights_files: "dict[str, WeightsFile]",
    precision: str = "float32",
):
    """Build a backbone and load its starting weights.

    Args:
        name: str, a key of `backbones.BACKBONES`.
        weights: str, `none` (random), `phantom` (random as well: yet to be pretrained), `imagenet`, `statistics` (the
            weights of ImageNet, of which a fit keeps the statistics alone), or a key of `weights_files`.
        image_size: int, pixels a side.
        architecture: settings of the backbone.
        weights_files: dict of settings with `path` and `preprocessing`, by name.
        precision: str, one of `backbones.PRECISIONS`.

    Returns:
        (Keras model from gray levels to feature maps, StartingFacts).

    Raises:
        ChestTransferError: there are no such weights for this backbone, the file is missing or damaged, or there is no
            network.
    """
    row = backbone_named(name)
    preprocessing, path = row.preprocessing, None
    if weights in ("imagenet", "statistics"):
        path = imagenet_file(row, image_size, architecture.alpha)
    elif weights not in BUILT_IN_WEIGHTS:
        preprocessing, path = weights_files[weights].preprocessing, Path(weights_files[weights].path).expanduser()
        if not path.is_file():
            raise ChestTransferError(f"no file at '{path}'; correct weights_files.{weights}.path in params.yaml")
    backbone = build_backbone(name, image_size, preprocessing, precision, alpha=architecture.alpha)
    if path is not None:
        _load_all_weights(backbone, path)
    facts = StartingFacts(
        backbone=name,
        weights=weights,
        weights_sha256=_digest(path, "sha256") if path else None,
        image_size=image_size,
        precision=precision,
        preprocessing=preprocessing,
    )
    return backbone, facts


def _load_all_weights(backbone, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that the file has no weights for, and leaves them random.
            warnings.simplefilter("error", UserWarning)
            backbone.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ChestTransferError(
            f"'{path}' does not hold the weights of {backbone.name}: {first_line}; give the file of that backbone"
        ) from None


def imagenet_file(row: Backbone, image_size: int, alpha: float | None = None) -> Path:
    """Return Keras' file of ImageNet weights: from $KERAS_HOME/models, else downloaded there, with Keras' own MD5.

    Raises:
        ChestTransferError: the backbone has no such weights, the file is damaged, or it cannot be downloaded.
    """
    import keras

    if row.imagenet is None:
        with_weights = ", ".join(backbone.name for backbone in BACKBONES.values() if backbone.imagenet)
        raise ChestTransferError(
            f"{row.name} has no 'imagenet' weights (these have: {with_weights}); "
            f"run: dvc exp run -S model={row.name} -S 'weights=[none]'"
        )
    # MobileNetV2 has a file for each width and for some image sizes; the file for 224 pixels serves the other sizes.
    side = image_size if image_size in (96, 128, 160, 192, 224) else 224
    file = row.imagenet.file.format(alpha=alpha or 1.0, side=side)
    address = f"{KERAS_ADDRESS}/{row.imagenet.folder}/{file}"
    folder = Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"
    path = folder / file
    if not path.exists():
        print(f"downloading {address}", flush=True)
        try:
            keras.utils.get_file(file, address, cache_dir=folder.parent, cache_subdir="models")
        except Exception as error:  # Keras raises a bare Exception for whatever went wrong
            path.unlink(missing_ok=True)
            raise ChestTransferError(
                f"cannot download {address} ({str(error).splitlines()[0]}); "
                f"with no network, put that file at {path} and run again"
            ) from None
    if row.imagenet.md5 and (md5 := _digest(path, "md5")) != row.imagenet.md5:
        raise ChestTransferError(
            f"'{path}' is damaged: its MD5 is {md5}, Keras publishes {row.imagenet.md5}; delete it and run again"
        )
    return path


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest()
