"""Unfreezing: which layers of a classifier learn, from which epoch on, and how fast.

Source of gradual unfreezing and of rates that shrink with depth: ULMFiT, arXiv 1801.06146.
"""

import keras

from chest_transfer.errors import ChestTransferError
from chest_transfer.networks.classifier import of_head


class Unfreezing:
    """A classifier whose head and some backbone layers learn, the deeper the later and the slower.

    Set up before the model is compiled: a layer's `trainable` does nothing afterwards. Batch norms stay frozen, and so
    in inference mode: their averages are those of the images that the backbone was trained on.
    """

    def __init__(self, classifier: keras.Model, settings):
        """Freeze all but what shall learn, in place.

        Args:
            classifier: with layers of its head named `head_...`, and `probabilities`.
            settings: unfreeze, groups, every and deeper.

        Raises:
            ChestTransferError: no layer with weights is left to unfreeze.
        """
        backbone = [layer for layer in classifier.layers if not of_head(layer)]
        chosen = [layer for layer in _chosen(backbone, settings.unfreeze) if _learns(layer)]
        if not chosen:
            raise ChestTransferError(
                f"no layer of {classifier.name} to unfreeze by 'finetune.unfreeze', received '{settings.unfreeze}' "
                f"(allowed: all, last N, all but last N, of {len(backbone)} layers); "
                "run: dvc exp run -S finetune.unfreeze=all"
            )
        kept = {layer.name for layer in chosen}
        for layer in backbone:
            layer.trainable = layer.name in kept
        # From the output down, as even as can be.
        chosen.reverse()
        count = min(settings.groups, len(chosen))
        self._group_of = {
            variable.path: count * number // len(chosen)
            for number, layer in enumerate(chosen)
            for variable in layer.trainable_variables
        }
        self._every, self._deeper = settings.every, settings.deeper
        self._shares = [keras.Variable(1.0, trainable=False, name=f"share{group}") for group in range(count)]

    def optimizer(self, learning_rate: float) -> keras.optimizers.Optimizer:
        """Adam whose rate is each group's own."""
        return GroupedAdam(learning_rate, self._group_of, self._shares)

    def begin(self, epoch: int) -> None:
        """Set each group's share of the learning rate for an epoch, 0 for the first."""
        for group, share in enumerate(self._shares):
            share.assign(self._deeper**group if epoch >= group * self._every else 0.0)


class GroupedAdam(keras.optimizers.Adam):
    def __init__(self, learning_rate: float, group_of: dict[str, int], shares: list[keras.Variable]):
        super().__init__(learning_rate)
        self._group_of, self._group_shares = group_of, shares

    def build(self, variables):
        super().build(variables)
        self._groups = [self._group_of.get(variable.path) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        group = self._groups[self._get_variable_index(variable)]
        share = 1.0 if group is None else self._group_shares[group]
        super().update_step(gradient, variable, learning_rate * share)


def _learns(layer: keras.layers.Layer) -> bool:
    return bool(layer.trainable_variables) and not isinstance(layer, keras.layers.BatchNormalization)


def _chosen(layers: list, unfreeze: str) -> list:
    """The layers by `all`, `last N` or `all but last N`."""
    *words, number = unfreeze.split()
    if unfreeze == "all":
        return layers
    return layers[-int(number) :] if words == ["last"] else layers[: -int(number)]
