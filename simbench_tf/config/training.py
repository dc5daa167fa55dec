"""Settings of training: the default recipe and its options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, model_validator

from simbench_tf.config.base import Strict
from simbench_tf.config.messages import first_problem
from simbench_tf.errors import InputError

#: Values that a recipe sets where a configuration does not: `talk` is the protocol of the talk and the paper, `drawn`
#: for grammar data on few cores, what `benchmarks/recipes.py` found nearest the ceiling.
RECIPES: dict[str, dict[str, Any]] = {
    "talk": {},
    # what is never seen twice is not overfitted, so training goes on to its end
    "drawn": {"fresh": True, "batch_size": 100, "patience": 1_000},
}


class Augment(Strict):
    """How training sequences are varied, drawn anew each epoch: moved by up to `shift` bases, open ends filled by N."""

    shift: Annotated[int, Field(ge=0)] = 0
    """Most bases by which a training sequence is moved, either way; open ends are N."""


class Training(Strict):
    """How models are trained: Adam, binary cross-entropy, at most `max_batches` batches, early stopping.

    `recipe` names the values of what is not given (`RECIPES`). With `fresh` the train split gives the length of a round
    and balanced weights alone. XLA draws other dropout masks from the same seed.
    """

    recipe: Literal["talk", "drawn"] = "talk"
    """Which values hold for what is not given: the talk's, or those for data drawn from a grammar."""
    batch_size: Annotated[int, Field(ge=1)] = 300
    """Sequences of a batch, on all devices together."""
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    """Adam's, at its highest."""
    schedule: Literal["constant", "cosine", "linear", "exponential"] = "constant"
    """How the rate goes on after the warm-up, until `max_batches`."""
    warmup_batches: Annotated[int, Field(ge=0)] = 0
    """Batches over which the rate rises from 0."""
    final_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Where a falling rate ends; by default a hundredth of `learning_rate`."""
    max_batches: Annotated[int, Field(ge=1)] = 30_000
    """Batches after which training ends at the latest."""
    patience: Annotated[int, Field(ge=0)] = 3
    """Rounds without a better validation auPRC after which training stops."""
    validate_every: Annotated[int, Field(ge=1)] | None = None
    """Batches of a round; by default an epoch, and at most 1,000."""
    validation_sequences: Annotated[int, Field(ge=1)] = 20_000
    """Sequences of the validation split that each round is measured on, always the same."""
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None = None
    """Weights of labels in the loss: balanced (positives and negatives alike), or task: weight of its positives."""
    reverse_complement: bool = False
    """Whether every second sequence is shown from its other strand, drawn anew each epoch."""
    augment: Augment = Augment()
    """How training sequences are varied further."""
    fresh: bool = False
    """Whether each batch is drawn anew, so that none is seen twice; of peaks, the background is shuffled each epoch."""
    shuffled_labels: bool = False
    """Whether sequences get the labels of others, so that there is nothing to learn: for `label_randomisation`."""
    ema_momentum: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Share of the moving average of weights that stays at each batch; with it the average is kept."""
    max_norm: Annotated[float, Field(gt=0)] | None = None
    """Bound of the weights into each unit (Basset's is 7)."""
    l2: Annotated[float, Field(ge=0)] = 0.0
    """Factor of the sum of squared kernels in the loss."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of the layers in training; auto: bfloat16 where the device has it, else float32."""
    xla: Literal["auto"] | bool = "auto"
    """Whether the training step is compiled by XLA; auto: on one GPU."""
    steps_per_execution: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Batches in one call of the device; auto: up to 20 on a GPU."""
    checkpoint_interval: Annotated[int, Field(ge=1)] = 500
    """Batches after which a checkpoint is written, from which a killed run goes on."""
    tensorboard: bool = False
    """Whether RUN/models/MODEL/tensorboard is written."""

    @model_validator(mode="before")
    @classmethod
    def _as_the_recipe_says(cls, raw: Any) -> Any:
        recipe = raw.get("recipe") if isinstance(raw, Mapping) else None
        return {**RECIPES[recipe], **raw} if isinstance(recipe, str) and recipe in RECIPES else raw

    @model_validator(mode="after")
    def _schedule_fits(self) -> Training:
        if self.warmup_batches >= self.max_batches:
            raise ValueError(f"warmup_batches {self.warmup_batches} leave nothing of max_batches {self.max_batches}")
        if self.final_learning_rate is not None and self.schedule == "constant":
            raise ValueError("final_learning_rate is of a schedule that falls: cosine, linear or exponential")
        if self.final_learning_rate is not None and self.final_learning_rate > self.learning_rate:
            raise ValueError(f"final_learning_rate {self.final_learning_rate} is above {self.learning_rate}")
        return self


def training_of(training: Training | Mapping[str, Any] | None = None, **settings: Any) -> Training:
    """Settings of training from a record or a mapping, and keywords that take precedence.

    Raises
    ------
    InputError
        A setting is unknown or out of range.

    Examples
    --------
    >>> training_of({"max_batches": 500, "patience": 1}, patience=2) == Training(max_batches=500, patience=2)
    True
    """
    given = training.model_dump(exclude_unset=True) if isinstance(training, Training) else dict(training or {})
    try:
        return Training.model_validate({**given, **settings})
    except ValidationError as error:
        problem = first_problem(error, Training, {})
        raise InputError("training", problem.text, problem.mend) from error
