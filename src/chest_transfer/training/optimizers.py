"""Adam with decoupled weight decay of kernels alone, averages of weights, and learning rates for groups of layers."""

import keras


class Adam(keras.optimizers.Adam):
    """Adam with decoupled weight decay (AdamW; Loshchilov and Hutter 2019) of kernels, not of biases or of norms.

    Args:
        learning_rate: float.
        weight_decay: float, times the learning rate it is what a kernel loses of itself in each step.
        averaged_steps: float, over so many steps an exponential average of the weights reaches back (Polyak and
            Juditsky 1992; Izmailov et al. 2018 of what averages do to generalization), until then the plain mean of all
            steps; 0 for none.
    """

    def __init__(self, learning_rate: float, weight_decay: float = 0.0, averaged_steps: float = 0.0):
        momentum = 1 - 1 / max(averaged_steps, 1)
        super().__init__(learning_rate, use_ema=averaged_steps > 0, ema_momentum=momentum)
        self._kernel_decay = weight_decay

    def update_step(self, gradient, variable, learning_rate):
        if self._kernel_decay and len(variable.shape) > 1:
            self.assign_sub(variable, variable * learning_rate * self._kernel_decay)
        super().update_step(gradient, variable, learning_rate)

    def _update_model_variables_moving_average(self, trainable_variables):
        steps = keras.ops.cast(self.iterations, "float32")
        final_momentum = self.ema_momentum
        self.ema_momentum = keras.ops.minimum(final_momentum, steps / (steps + 1))
        super()._update_model_variables_moving_average(trainable_variables)
        self.ema_momentum = final_momentum

    def swap_averages(self, variables: list[keras.Variable]) -> None:
        """Exchange trainable variables and their averages; nothing without averages."""
        if not self.use_ema:
            return
        for variable, average in zip(variables, self._model_variables_moving_average, strict=True):
            value = keras.ops.copy(variable.value)
            variable.assign(average)
            average.assign(value)


class GroupedAdam(Adam):
    """Adam whose learning rate is multiplied by a factor for each group of variables."""

    def __init__(
        self,
        learning_rate: float,
        weight_decay: float,
        averaged_steps: float,
        group_of: dict[str, int],
        rate_factors: list[keras.Variable],
    ):
        super().__init__(learning_rate, weight_decay, averaged_steps)
        self._group_of, self._rate_factors = group_of, rate_factors

    def build(self, variables):
        super().build(variables)
        self._groups = [self._group_of.get(variable.path) for variable in variables]

    def update_step(self, gradient, variable, learning_rate):
        group = self._groups[self._get_variable_index(variable)]
        factor = 1.0 if group is None else self._rate_factors[group]
        super().update_step(gradient, variable, learning_rate * factor)
