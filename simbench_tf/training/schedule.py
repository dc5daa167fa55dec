"""Learning-rate schedules: an optional warm-up from 0, then one of Keras' schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from simbench_tf.config import Training

#: The final learning rate of a schedule as a fraction of the first, unless the configuration gives one.
_FINAL_FRACTION = 0.01


def learning_rates(training: Training) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The rate, or the schedule of rates, for an optimizer.

    Examples
    --------
    >>> rate = learning_rates(Training(learning_rate=0.1, schedule="linear", warmup_batches=10, max_batches=110))
    >>> [round(float(rate(batch)), 4) for batch in (0, 4, 9, 10, 60, 110)]
    [0.01, 0.05, 0.1, 0.1, 0.0505, 0.001]
    """
    schedules, peak = keras.optimizers.schedules, training.learning_rate
    if training.schedule == "constant" and not training.warmup_batches:
        return peak
    final = training.final_learning_rate or _FINAL_FRACTION * peak
    batches = training.max_batches - training.warmup_batches
    after = {
        "constant": lambda: lambda _batch: peak,
        "cosine": lambda: schedules.CosineDecay(peak, batches, alpha=final / peak),
        "linear": lambda: schedules.PolynomialDecay(peak, batches, final),
        "exponential": lambda: schedules.ExponentialDecay(peak, batches, final / peak),
    }[training.schedule]()
    return _Warmup(after, peak, training.warmup_batches) if training.warmup_batches else after


class _Warmup(keras.optimizers.schedules.LearningRateSchedule):
    """Rise evenly to `peak`, which batch `batches` is the first to have in full, then follow another schedule."""

    def __init__(self, after: Callable[[Any], Any], peak: float, batches: int) -> None:
        self._after, self._peak, self._batches = after, peak, batches

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step, "float32")
        rising = self._peak * (step + 1) / self._batches
        return keras.ops.where(step < self._batches, rising, self._after(keras.ops.maximum(step - self._batches, 0)))

    def get_config(self) -> dict[str, Any]:
        return {"after": self._after, "peak": self._peak, "batches": self._batches}
