"""Starting points: the weights that a backbone begins with, verified, and never replaced in silence."""

import hashlib
import os
import warnings
from pathlib import Path

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import BACKBONES, Backbone, backbone_named, build_backbone

KERAS_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications"


def starting_point(name: str, weights: str, image_size: int, architecture, weights_files, precision="float32"):
    """A backbone that starts from given weights.

    Args:
        name: a key of `backbones.BACKBONES`.
        weights: `none` (random, from the seed), `phantom` (random as well: yet to be pretrained), `imagenet`, or a key
            of `weights_files`.
        image_size: pixels a side.
        architecture: the backbone's own settings.
        weights_files: name -> settings with `path` and `preprocessing`.
        precision: of its layers.

    Returns:
        (Keras model from grey pixels to feature maps, its facts).

    Raises:
        ChestTransferError: no such weights for this backbone, a missing or damaged file, or no network.
    """
    row = backbone_named(name)
    preprocessing, path = row.preprocessing, None
    if weights == "imagenet":
        path = imagenet_file(row, image_size, architecture.alpha)
    elif weights not in ("none", "phantom"):
        preprocessing, path = weights_files[weights].preprocessing, Path(weights_files[weights].path).expanduser()
        if not path.is_file():
            raise ChestTransferError(f"no file at '{path}'; mend weights_files.{weights}.path in params.yaml")
    backbone = build_backbone(name, image_size, preprocessing, precision, alpha=architecture.alpha)
    if path is not None:
        try:
            with warnings.catch_warnings():
                # Keras only warns of layers that a file has nothing for, and leaves them random.
                warnings.simplefilter("error", UserWarning)
                backbone.load_weights(path)
        except (ValueError, OSError, KeyError, UserWarning) as error:
            first_line = str(error).strip().splitlines()[0]
            raise ChestTransferError(
                f"'{path}' does not hold the weights of {name}: {first_line}; give the file of that backbone"
            ) from None
    facts = {
        "backbone": name,
        "weights": weights,
        "weights_sha256": path and _digest(path, "sha256"),
        "image_size": image_size,
        "precision": precision,
        "preprocessing": preprocessing,
    }
    return backbone, facts


def imagenet_file(row: Backbone, image_size: int, alpha: float | None = None) -> Path:
    """Keras' file of ImageNet weights: from $KERAS_HOME/models, else downloaded there; its MD5 must be Keras' own.

    Raises:
        ChestTransferError: the backbone has no such weights, the file is damaged, or it cannot be fetched.
    """
    import keras

    if row.imagenet is None:
        with_weights = ", ".join(backbone.name for backbone in BACKBONES.values() if backbone.imagenet)
        raise ChestTransferError(
            f"{row.name} has no 'imagenet' weights (these have: {with_weights}); "
            f"run: dvc exp run -S model={row.name} -S 'weights=[none]'"
        )
    # MobileNetV2's files differ by width, and by image size where one was trained for it; 224 serves the others.
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
    if row.imagenet.md5 and (found := _digest(path, "md5")) != row.imagenet.md5:
        raise ChestTransferError(
            f"'{path}' is damaged: its MD5 is {found}, Keras publishes {row.imagenet.md5}; delete it and run again"
        )
    return path


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest()
