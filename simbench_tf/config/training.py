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


class Training(Strict):
    """How models are trained: Adam, binary cross-entropy, at most `max_batches` batches, early stopping.

    `recipe` names the values of what is not given (`RECIPES`): those of the talk, which are the defaults here, or those
    for data that are drawn from a grammar.

    The learning rate rises from 0 over `warmup_batches`; from there it stays, or falls until `max_batches` to
    `final_learning_rate` (default: a hundredth of it) as `schedule` says. After each `validate_every` batches (default:
    an epoch, or 1,000 batches of a longer one) the model is measured on `validation_sequences` of the validation split,
    always the same; `patience` rounds without a better auPRC end training.

    `class_weight` weights each label in the loss: balanced, so that a task's positives and negatives count alike, or
    the weight of the positives of each task. `reverse_complement` shows every second sequence from its other strand,
    drawn again each epoch; `augment` varies sequences further. With `fresh` no sequence is shown twice: each batch is
    drawn anew from the grammar that drew the data set, whose train split then gives the length of a round and balanced
    weights alone; of peaks, the background between sites is shuffled anew each epoch.

    Of the kernels of all layers, `max_norm` bounds the weights into each unit (Basset's is 7), and `l2` times the sum
    of their squares is added to the loss. With `ema_momentum`, such as .999, Keras' exponential moving average of the
    weights is validated and kept: after each batch that share of it stays.

    `precision` is that of the layers during training; auto: bfloat16 where the device has it, else float32. `xla`
    compiles the training step; auto: on one GPU. (XLA draws other dropout masks from the same seed.)
    `steps_per_execution` is the number of batches per call of the device; auto: up to 20 on a GPU. A killed run
    resumes from its last checkpoint, at most `checkpoint_interval` batches back. `tensorboard` writes
    RUN/models/MODEL/tensorboard.
    """

    recipe: Literal["talk", "drawn"] = "talk"
    batch_size: Annotated[int, Field(ge=1)] = 300
    learning_rate: Annotated[float, Field(gt=0)] = 0.001
    schedule: Literal["constant", "cosine", "linear", "exponential"] = "constant"
    warmup_batches: Annotated[int, Field(ge=0)] = 0
    final_learning_rate: Annotated[float, Field(gt=0)] | None = None
    max_batches: Annotated[int, Field(ge=1)] = 30_000
    patience: Annotated[int, Field(ge=0)] = 3
    validate_every: Annotated[int, Field(ge=1)] | None = None
    validation_sequences: Annotated[int, Field(ge=1)] = 20_000
    class_weight: Literal["balanced"] | dict[str, Annotated[float, Field(gt=0)]] | None = None
    reverse_complement: bool = False
    augment: Augment = Augment()
    fresh: bool = False
    ema_momentum: Annotated[float, Field(gt=0, lt=1)] | None = None
    max_norm: Annotated[float, Field(gt=0)] | None = None
    l2: Annotated[float, Field(ge=0)] = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    xla: Literal["auto"] | bool = "auto"
    steps_per_execution: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    checkpoint_interval: Annotated[int, Field(ge=1)] = 500
    tensorboard: bool = False

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
