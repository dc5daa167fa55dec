"""Recipes of training: what each sets, and what wins over it."""

import pytest

from simbench_tf.config import Training, load_config, training_of
from simbench_tf.config.training import RECIPES
from simbench_tf.errors import InputError


def test_the_talks_recipe_is_the_default():
    talk = Training(recipe="talk")
    assert talk == Training()
    assert (talk.batch_size, talk.learning_rate, talk.schedule, talk.max_batches) == (300, 0.001, "constant", 30_000)
    assert not talk.fresh
    assert talk.ema_momentum is None


def test_a_recipe_fills_in_what_is_not_given():
    drawn = training_of(recipe="drawn")
    assert drawn.fresh
    assert {name: getattr(drawn, name) for name in RECIPES["drawn"]} == RECIPES["drawn"]
    assert not training_of({"recipe": "drawn"}, fresh=False).fresh
    assert training_of(recipe="drawn", batch_size=17).batch_size == 17


def test_a_preset_changes_its_recipe_by_one_setting():
    preset, talk = (load_config("demo", settings).training for settings in ((), ["training.recipe=talk"]))
    assert preset.fresh
    assert not talk.fresh
    assert talk.batch_size == 300
    assert talk.max_batches == preset.max_batches, "which the preset gives itself"


def test_an_unknown_recipe_is_refused():
    with pytest.raises(InputError, match="recipe"):
        training_of(recipe="tlak")
