"""Adam with decoupled weight decay of kernels alone, and with a learning rate of its own for each group of layers."""

import keras


class Adam(keras.optimizers.Adam):
    """Adam with decoupled weight decay (AdamW; Loshchilov and Hutter 2019) of kernels, not of biases or of norms.

    Args:
        learning_rate: float.
        weight_decay: float, times the learning rate it is what a kernel loses of itself in each step.
    """

    def __init__(self, learning_rate: float, weight_decay: float = 0.0):
        super().__init__(learning_rate)
        self._kernel_decay = weight_decay

    def update_step(self, gradient, variable, learning_rate):
        if self._kernel_decay and len(variable.shape) > 1:
            self.assign_sub(variable, variable * learning_rate * self._kernel_decay)
        super().update_step(gradient, variable, learning_rate)


class GroupedAdam(Adam):
    """Adam whose learning rate is multiplied by a factor for each group of variables."""

    def __init__(
        self, learning_rate: float, weight_decay: float, group_of: dict[str, int], rate_factors: list[keras.Variable]
    ):
        super().__init__(learning_rate, weight_decay)
        self._group_of, self._rate_factors = group_of, rate_factors

    def build(self, variables):
        super().build(variables)
        self._groups = [self._group_of.get(variable.path) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        group = self._groups[self._get_variable_index(variable)]
        factor = 1.0 if group is None else self._rate_factors[group]
        super().update_step(gradient, variable, learning_rate * factor)
