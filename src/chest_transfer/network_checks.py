"""Whether the backbone in params.yaml can be built as the other settings want it, said without building it."""

from typing import TYPE_CHECKING

from chest_transfer.errors import ChestTransferError, unknown_name_error
from chest_transfer.networks.backbones import (
    BACKBONES,
    Backbone,
    backbone_named,
    check_image_size,
    check_options,
    check_preprocessing,
)
from chest_transfer.networks.heads import HEADS, head_named
from chest_transfer.networks.weights import BUILT_IN_WEIGHTS, FROM_IMAGENET, check_imagenet

if TYPE_CHECKING:
    from chest_transfer.settings import Settings


def check_network(settings: "Settings") -> None:
    """Check the image size, the starting weights, the heads and the options of single backbones.

    Raises:
        ChestTransferError: a backbone needs larger images, has no such weights, head or option.
    """
    for name, architecture in settings.architectures.items():
        if name not in BACKBONES:
            raise unknown_name_error("backbone under `architectures`", name, BACKBONES)
        head_named(architecture.head)
        check_options(backbone_named(name), ["alpha"] if architecture.alpha is not None else [])
    row = backbone_named(settings.model)
    check_image_size(row, settings.image_size)
    if not head_named(settings.probe.head).pooled:
        allowed = ", ".join(name for name, head in HEADS.items() if head.pooled)
        raise ChestTransferError(
            f"probe.head is '{settings.probe.head}', which keeps whole feature maps (allowed: {allowed}); "
            "run: dvc exp run -S probe.head=dense256"
        )
    for weights in settings.weights:
        _check_start(row, weights, settings)


def _check_start(row: Backbone, weights: str, settings: "Settings") -> None:
    partial = settings.partial_weights.get(weights)
    source = partial.weights if partial else weights
    if source in FROM_IMAGENET:
        check_imagenet(row, weights)
    elif source not in BUILT_IN_WEIGHTS:
        check_preprocessing(row, settings.weights_files[source].preprocessing)
