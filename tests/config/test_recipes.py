"""Recipes of training: what each sets, and what wins over it."""

import pytest
import yaml

from simbench_tf.config import Training, load_config, training_of
from simbench_tf.config.training import RECIPES
from simbench_tf.errors import InputError
from simbench_tf.stages.dynamics import unwatched
from simbench_tf.stages.train import inputs


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


def of_models(tmp_path, *models):
    (tmp_path / "c.yaml").write_text(
        yaml.safe_dump({"simulation": {"kind": "grammar"}, "models": list(models), "training": {"batch_size": 50}})
    )
    return load_config(tmp_path / "c.yaml")


def test_a_model_may_be_trained_otherwise_than_the_rest(tmp_path):
    own = {"name": "own", "architecture": "basset", "training": {"schedule": "cosine", "learning_rate": 0.002}}
    config = of_models(tmp_path, own, {"name": "plain", "architecture": "beluga"})
    mine, plain = (config.training_for(model) for model in config.models)
    assert plain is config.training
    assert mine == plain.model_copy(update={"schedule": "cosine", "learning_rate": 0.002})
    # its fingerprint is that of the settings, wherever they are written
    written = of_models(tmp_path, {key: value for key, value in own.items() if key != "training"})
    same = written.model_copy(update={"training": mine})
    first, second = (inputs(each, each.replicates[0]) for each in (config, same))
    assert first == second
    assert inputs(config, config.replicates[1])["training"]["schedule"] == "constant"


@pytest.mark.parametrize(
    ("training", "message"),
    [
        ({"shedule": "cosine"}, r"training of model own: .*shedule.*schedule"),
        ({"final_learning_rate": 1e-5}, r"training of model own: .*final_learning_rate"),
    ],
)
def test_a_models_own_settings_are_checked(tmp_path, training, message):
    with pytest.raises(InputError, match=message):
        of_models(tmp_path, {"name": "own", "architecture": "basset", "training": training})


def test_a_model_that_is_taken_as_it_is_has_no_training(tmp_path):
    with pytest.raises(InputError, match="training is of models that are trained"):
        of_models(tmp_path, {"name": "own", "keras": "m.keras", "trained": True, "training": {"fresh": True}})


def test_the_models_that_are_watched_are_those_named(tmp_path):
    models = [
        {"name": "one", "architecture": "basset", "seeds": 2},
        {"name": "two", "architecture": "beluga"},
        {"name": "given", "keras": "m.keras", "trained": True},
    ]
    config = of_models(tmp_path, *models)
    assert config.watched == []
    for chosen, names in ((None, ["one-seed1", "one-seed2", "two"]), (["two"], ["two"])):
        changed = type(config).model_validate(config.model_dump() | {"dynamics": {"models": chosen}})
        assert [each.name for each in changed.watched] == names
        files = [f"dynamics/{name}/dynamics.csv" for name in ("one-seed1", "two", "two-more")]
        assert unwatched(changed, [*files, "models/two/model.keras"]) == [
            file for file in files if file.split("/")[1] not in names
        ]
    for wrong in ("given", "tow"):
        with pytest.raises(ValueError, match=f"dynamics.models names '{wrong}', which is no model trained"):
            type(config).model_validate(config.model_dump() | {"dynamics": {"models": [wrong]}})
