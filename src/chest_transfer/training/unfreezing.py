"""Gradual unfreezing: which layers of a network are trained, from which epoch on, and at which learning rate.

Source of gradual unfreezing and of learning rates that decrease with depth: ULMFiT, arXiv 1801.06146.
"""

from typing import TYPE_CHECKING

import keras

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.classifier import is_head_layer
from chest_transfer.training.optimizers import Adam, GroupedAdam

if TYPE_CHECKING:
    from chest_transfer.settings import Finetune


class GradualUnfreezing:
    """Trains the head of a network and some backbone layers, deeper layers later and at a lower learning rate.

    Create it before the network is compiled: changes of a layer's `trainable` have no effect afterwards. Batch norms
    stay frozen, and so in inference mode: their statistics are those of the images that the backbone was trained on.
    """

    def __init__(self, network: keras.Model, settings: "Finetune"):
        """Freeze all layers that are not to be trained, in place.

        Args:
            network: Keras model with a head, as `build_classifier` makes it.
            settings: section `finetune` of the settings: unfreeze, groups, unfreeze_every and layer_lr_decay.

        Raises:
            ChestTransferError: no layer with weights is left to unfreeze.
        """
        backbone = [layer for layer in network.layers if not is_head_layer(layer)]
        unfrozen = [layer for layer in _select(backbone, settings.unfreeze) if _can_train(layer)]
        if not unfrozen:
            raise ChestTransferError(
                f"no layer of {network.name} to unfreeze by 'finetune.unfreeze', received '{settings.unfreeze}' "
                f"(allowed: all, last N, all but last N, of {len(backbone)} layers); "
                "run: dvc exp run -S finetune.unfreeze=all"
            )
        names = {layer.name for layer in unfrozen}
        for layer in backbone:
            layer.trainable = layer.name in names
        unfrozen.reverse()  # the first group is the one nearest to the output
        count = min(settings.groups, len(unfrozen))
        self._group_of = {
            variable.path: count * position // len(unfrozen)
            for position, layer in enumerate(unfrozen)
            for variable in layer.trainable_variables
        }
        self._unfreeze_every, self._layer_lr_decay = settings.unfreeze_every, settings.layer_lr_decay
        self._rate_factors = [
            keras.Variable(1.0, trainable=False, name=f"rate_factor{group}") for group in range(count)
        ]

    def optimizer(self, learning_rate: float, weight_decay: float = 0.0, averaged_steps: float = 0.0) -> Adam:
        """Return an Adam with a learning rate of its own for each group of layers; arguments as of `Adam`."""
        return GroupedAdam(learning_rate, weight_decay, averaged_steps, self._group_of, self._rate_factors)

    def begin_epoch(self, epoch: int) -> None:
        """Set the learning-rate factor of each group for an epoch, 0 for the first."""
        for group, factor in enumerate(self._rate_factors):
            is_unfrozen = epoch >= group * self._unfreeze_every
            factor.assign(self._layer_lr_decay**group if is_unfrozen else 0.0)


def _can_train(layer: keras.layers.Layer) -> bool:
    return bool(layer.trainable_variables) and not isinstance(layer, keras.layers.BatchNormalization)


def _select(layers: list, unfreeze: str) -> list:
    """Return the layers that `all`, `last N` or `all but last N` names."""
    if unfreeze == "all":
        return layers
    *words, count = unfreeze.split()
    return layers[-int(count) :] if words == ["last"] else layers[: -int(count)]
