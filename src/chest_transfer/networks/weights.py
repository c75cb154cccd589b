"""Starting weights of a backbone: verified, and never replaced by others without an error."""

import hashlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.backbones import BACKBONES, Backbone, backbone_named, build_backbone
from chest_transfer.networks.blocks import blocks_of
from chest_transfer.networks.facts import StartingFacts

if TYPE_CHECKING:
    from chest_transfer.settings import Architecture, PartialWeights, WeightsFile

BUILT_IN_WEIGHTS = ("none", "statistics", "phantom", "imagenet")  # names that need no entry in `weights_files`
FROM_IMAGENET = ("imagenet", "statistics")
KERAS_ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications"


def load_starting_weights(
    name: str,
    weights: str,
    image_size: int,
    architecture: "Architecture",
    weights_files: "dict[str, WeightsFile]",
    precision: str = "float32",
    partial_weights: "dict[str, PartialWeights] | None" = None,
):
    """Build a backbone and load its starting weights.

    Args:
        name: str, a key of `backbones.BACKBONES`.
        weights: str, `none` (random), `phantom` (random as well: yet to be pretrained), `imagenet`, `statistics` (the
            weights of ImageNet, of which a fit keeps the statistics alone), or a key of the next two.
        image_size: int, pixels a side.
        architecture: settings of the backbone.
        weights_files: dict of settings of a file, by name.
        precision: str, one of `backbones.PRECISIONS`.
        partial_weights: dict of settings with `weights` and `blocks`, by name: of these weights, a fit keeps so many
            blocks.

    Returns:
        (Keras model from gray levels to feature maps, StartingFacts).

    Raises:
        ChestTransferError: there are no such weights for this backbone, the file is missing or damaged, or there is no
            network.
    """
    row, partial = backbone_named(name), (partial_weights or {}).get(weights)
    source = partial.weights if partial else weights
    preprocessing, path, license_of_file = row.preprocessing, None, None
    if source in FROM_IMAGENET:
        path = imagenet_file(row, image_size, architecture.alpha)
    elif source not in BUILT_IN_WEIGHTS:
        file = weights_files[source]
        preprocessing, path, license_of_file = file.preprocessing, _checked_file(source, file), file.license
    backbone = build_backbone(name, image_size, preprocessing, precision, alpha=architecture.alpha)
    if path is not None:
        _load_all_weights(backbone, path)
    if partial is not None and partial.blocks >= (count := len(blocks_of(backbone))):
        raise ChestTransferError(
            f"partial_weights.{weights} keeps {partial.blocks} blocks, of the {count} of {name} at {image_size} pixels "
            f"(allowed: 1 to {count - 1})"
        )
    facts = StartingFacts(
        backbone=name,
        weights=weights,
        weights_sha256=_digest(path, "sha256") if path else None,
        weights_license=license_of_file,
        pretrained_blocks=partial.blocks if partial else None,
        image_size=image_size,
        precision=precision,
        preprocessing=preprocessing,
    )
    return backbone, facts


def _checked_file(name: str, file: "WeightsFile") -> Path:
    """Return the path of a file of weights, which is there and has the SHA-256 that settings name, if they do."""
    path = Path(file.path).expanduser()
    if not path.is_file():
        raise ChestTransferError(f"no file at '{path}'; correct weights_files.{name}.path in params.yaml")
    if file.sha256 and (sha256 := _digest(path, "sha256")) != file.sha256.lower():
        raise ChestTransferError(
            f"'{path}' is not the file that weights_files.{name} names: its SHA-256 is {sha256}, not {file.sha256}; "
            "get the file again, or correct the hash"
        )
    return path


def _load_all_weights(backbone, path: Path) -> None:
    """Load the weights of a file, which may hold those of a classifier on the averaged feature maps as well."""
    import keras

    try:
        if classes := _classes_on_top(backbone, path):
            averaged = keras.layers.GlobalAveragePooling2D()(backbone.output)
            backbone = keras.Model(backbone.input, keras.layers.Dense(classes)(averaged), name=backbone.name)
        with warnings.catch_warnings():
            # Keras only warns of layers that the file has no weights for, and leaves them random.
            warnings.simplefilter("error", UserWarning)
            backbone.load_weights(path)
    except (ValueError, OSError, KeyError, UserWarning) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ChestTransferError(
            f"'{path}' does not hold the weights of {backbone.name}: {first_line}; give the file of that backbone"
        ) from None


def _classes_on_top(backbone, path: Path) -> int:
    """Return the number of outputs of the layer that an HDF5 file of weights has after those of a backbone, or 0."""
    import h5py

    with h5py.File(path) as file:
        content = file.get("model_weights", file)
        layers = [content[name] for name in content.attrs.get("layer_names", [])]
        with_weights = [layer for layer in layers if len(layer.attrs["weight_names"])]
        if len(with_weights) != 1 + sum(bool(layer.weights) for layer in backbone.layers):
            return 0
        kernel = with_weights[-1][with_weights[-1].attrs["weight_names"][0]]
        return kernel.shape[1] if kernel.ndim == 2 else 0


def imagenet_file(row: Backbone, image_size: int, alpha: float | None = None) -> Path:
    """Return Keras' file of ImageNet weights: from $KERAS_HOME/models, else downloaded there, with Keras' own hash.

    Raises:
        ChestTransferError: the backbone has no such weights, the file is damaged, or it cannot be downloaded.
    """
    import keras

    check_imagenet(row)
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
    published = row.imagenet.digest
    algorithm = "sha256" if published and len(published) == 64 else "md5"
    if published and (digest := _digest(path, algorithm)) != published:
        raise ChestTransferError(
            f"'{path}' is damaged: its {algorithm} is {digest}, Keras publishes {published}; delete it and run again"
        )
    return path


def check_imagenet(row: Backbone, weights: str = "imagenet") -> None:
    """Check that there are ImageNet weights of a backbone; raises a ChestTransferError where there are none.

    Args:
        row: Backbone.
        weights: str, the starting weights that need them, for the message.
    """
    if row.imagenet is None:
        with_weights = ", ".join(backbone.name for backbone in BACKBONES.values() if backbone.imagenet)
        raise ChestTransferError(
            f"{row.name} has no '{weights}' weights (these have: {with_weights}); "
            f"run: dvc exp run -S model={row.name} -S 'weights=[none]' -S 'train.weights=[none]'"
        )


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, algorithm).hexdigest()
