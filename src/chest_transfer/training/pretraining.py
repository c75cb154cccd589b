"""Pretraining: a backbone learns findings under a head that is thrown away."""

from typing import TYPE_CHECKING

from chest_transfer.data.arrays import Arrays
from chest_transfer.networks.classifier import build_classifier, logits_network
from chest_transfer.training.checkpoints import CHECKPOINTS, Checkpoints
from chest_transfer.training.fitting import fit
from chest_transfer.training.train_and_save import FitOptions

if TYPE_CHECKING:
    from chest_transfer.settings import Architecture


def pretrain_backbone(
    backbone, train: Arrays, val: Arrays, options: FitOptions, architecture: "Architecture", more_settings: dict
) -> None:
    """Train a backbone in place on radiographs with several independent findings.

    Args:
        backbone: Keras model from gray levels to feature maps.
        train: Arrays to train on.
        val: Arrays to stop early on.
        options: FitOptions.
        architecture: settings of the backbone: its head, and the factor of its learning rate.
        more_settings: dict of the settings that the arrays and the backbone depend on.
    """
    classifier = build_classifier(backbone, architecture.head, len(train.classes), multi_label=True)
    settings = options.record() | architecture.model_dump() | more_settings
    checkpoints = Checkpoints(CHECKPOINTS / f"pretrained-{backbone.name}", settings, inputs=[])
    fit(
        logits_network(classifier), train, val, options.settings, checkpoints,
        section=options.section, multi_label=True, seed=options.seed, fused_batch_norm=options.fused_batch_norm,
        learning_rate=options.settings.learning_rate * architecture.learning_rate_factor,
    )  # fmt: skip
    checkpoints.remove()
