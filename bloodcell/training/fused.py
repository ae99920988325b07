"""AdamW and the moving average of weights, each in as few passes over the memory as can be.

A step of a large network on a processor spends half its time on these: Keras writes them as some
forty elementwise operations, and every one reads and writes all weights. TensorFlow has the whole
of Adam as one kernel, which Keras 2 used.
"""

from typing import Any

__all__ = ["fused_adamw", "update_average"]


def fused_adamw(learning_rate: float, weight_decay: float) -> Any:
    """``keras.optimizers.AdamW`` with the same variables and, but for rounding, the same steps."""
    import keras
    import tensorflow as tf

    class FusedAdamW(keras.optimizers.AdamW):
        def _apply_weight_decay(self, variables):
            # In update_step instead, where the variable is at hand.
            pass

        def update_step(self, gradient, variable, learning_rate):
            rate = tf.cast(learning_rate, tf.float32)
            if self._use_weight_decay(variable):
                variable.assign(variable * (1 - rate * self.weight_decay))
            place = self._get_variable_index(variable)
            step = tf.cast(self.iterations + 1, tf.float32)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=self._momentums[place].value.handle,
                v=self._velocities[place].value.handle,
                beta1_power=tf.pow(self.beta_1, step),
                beta2_power=tf.pow(self.beta_2, step),
                lr=rate,
                beta1=self.beta_1,
                beta2=self.beta_2,
                epsilon=self.epsilon,
                grad=gradient,
            )

    return FusedAdamW(learning_rate, weight_decay=weight_decay)


def update_average(average: Any, weight: Any, decay: Any) -> None:
    """``average ← weight + decay · (average − weight)``; both tf.Variable, `decay` a float32."""
    import tensorflow as tf

    tf.raw_ops.ResourceApplyGradientDescent(
        var=average.handle, alpha=1 - decay, delta=average - weight
    )
