"""YAML of configurations: numbers of YAML 1.2, keys given twice, unquoted text, values that are too large or many."""

import re

import pytest
import yaml

from simbench_tf.config import GrammarSimulation, config_dict, load_config, write_config
from simbench_tf.config.yaml_text import _n_values, format_yaml, parse_yaml
from simbench_tf.errors import InputError

GRAMMAR = "simulation: {kind: grammar}\n"
MAX = 18446744073709551615


def load(tmp_path, text, *overrides):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return load_config(path, overrides)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-3", 0.001), ("1e-1", 0.1), ("2E5", 200_000.0), ("+1.5e+2", 150.0), (".5e1", 5.0), ("-1.e2", -100.0)],
)
def test_numbers_with_an_exponent_need_no_dot(text, number):
    value = parse_yaml(f"a: {text}", "x").data["a"]
    assert (value, type(value)) == (number, float)


@pytest.mark.parametrize("text", ["1e", "e3", "1e-", "1e3x", "'1e3'", "chr1e3", "1.2.3e4", "1e3.5"])
def test_what_only_looks_like_a_number_stays_text(text):
    assert parse_yaml(f"a: {text}", "x").data == {"a": text.strip("'")}


def test_exponents_are_numbers_in_a_configuration_and_in_overrides(tmp_path):
    config = load(tmp_path, GRAMMAR + "training: {learning_rate: 1e-4}", "training.l2=5e-2", "seed=1e3")
    assert (config.training.learning_rate, config.training.l2, config.seed) == (0.0001, 0.05, 1000)
    methods = "attribution: {methods: [{method: smoothgrad, noise: 1e-1}]}"
    assert load(tmp_path, GRAMMAR + methods).attribution.methods[0].settings == {"noise": 0.1}


@pytest.mark.parametrize("text", ["1e3", "NO", "8", "null", "1.5", "true", "a: b", "é"])
def test_text_that_looks_like_something_else_is_written_in_quotes(text):
    assert parse_yaml(format_yaml({text: [text]}), "x").data == {text: [text]}


def test_a_task_called_1e3_comes_back_from_the_resolved_configuration(tmp_path):
    config = load(tmp_path, 'simulation: {kind: grammar, tasks: {"1e3": {fraction: .3}}, elements: [{motif: SOX2}]}')
    write_config(config, tmp_path / "config.yaml")
    assert config_dict(load_config(tmp_path / "config.yaml")) == config_dict(config)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            GRAMMAR + "attribution: {n_sequences: 7}\n# more\nattribution:\n  n_sequences: 4\n",
            "c.yaml:4: 'attribution' is given twice, first in line 2; leave one out",
        ),
        (
            "simulation:\n  kind: grammar\n  tasks: {A: {}, B: {},\n   A: {}}",
            "c.yaml:4: 'A' is given twice, first in line 3",
        ),
        (GRAMMAR + "models:\n  - {architecture: basset, width: 1, width: 2}", "c.yaml:3: 'width' is given twice"),
        ("a: &x [*x]\n" + GRAMMAR, "c.yaml:1: a list or mapping holds itself by an alias; write it out"),
    ],
)
def test_a_key_given_twice_names_both_lines(tmp_path, text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load(tmp_path, text)


def test_a_key_given_twice_in_an_override_names_the_override(tmp_path):
    with pytest.raises(InputError, match=re.escape("--set training={l2: 1, l2: 2}: 'l2' is given twice")):
        load(tmp_path, GRAMMAR, "training={l2: 1, l2: 2}")


def test_a_merge_is_no_key_given_twice(tmp_path):
    tasks = "tasks: {A: &a {fraction: .2}, B: {<<: *a, fraction: .3}}"
    config = load(tmp_path, f"simulation: {{kind: grammar, {tasks}, elements: [{{motif: SOX2}}]}}")
    assert isinstance(config.simulation, GrammarSimulation)
    assert [task.fraction for task in config.simulation.tasks.values()] == [0.2, 0.3]


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("simulation: {kind: grammar, tasks: {NO: {}}}", [], "simulation.tasks: has the key NO, which YAML does not "),
        ("simulation: {kind: grammar, tasks: {NO: {}}}", [], "write 'NO' in quotes"),
        ("simulation: {kind: grammar, tasks: {293: {}}}", [], "simulation.tasks: has the key 293, which YAML does not"),
        ("simulation: {kind: grammar, tasks: {1e3: {}}}", [], "write '1e3' in quotes"),
        ("simulation: {kind: grammar, tasks: {~: {}}}", [], "write '~' in quotes"),
        (
            "simulation: {kind: peaks, genome: g, peaks: {H1: a}, splits: {chromosomes: {valid: [X], test: [X, 8]}}}",
            [],
            "simulation.splits.chromosomes.test.1: is 8, which YAML does not read as text; write '8' in quotes",
        ),
        ("simulation: {kind: peaks, genome: 007, peaks: {H1: a}}", [], "simulation.genome: is 007, which"),
        (GRAMMAR + "name: 2020-01-02", [], "name: is 2020-01-02, which YAML does not read as text; write '2020-01-02'"),
        (GRAMMAR + "training: {class_weight: {293: 2}}", [], "write '293' in quotes"),
        (GRAMMAR, ["name=off"], "name: is off, which YAML does not read as text; write 'off' in quotes"),
        (GRAMMAR, ["models.0.name=8"], "write '8' in quotes"),
        (
            'simulation: {kind: grammar, tasks: {"293": {}}, elements: [{motif: SOX2, enriched: {293: 1}}]}',
            [],
            "elements.0.enriched names 293, which is no task; write '293' in quotes",
        ),
    ],
)
def test_unquoted_text_is_told_to_be_quoted(tmp_path, text, overrides, message):
    if overrides == ["models.0.name=8"]:
        text += "models: [{architecture: basset}]"
    with pytest.raises(InputError) as error:
        load(tmp_path, text, *overrides)
    assert message in str(error.value)
    assert str(error.value).startswith(f"--set {overrides[0]}: " if overrides else str(tmp_path / "c.yaml"))


def test_unquoted_text_of_a_variant_is_spelt_as_the_variant_does(tmp_path):
    (tmp_path / "c.yaml").write_text(GRAMMAR + "variants: {small: {name: No}}")
    with pytest.raises(InputError, match="write 'No' in quotes"):
        load_config(f"{tmp_path / 'c.yaml'}:small")


def test_seeds_have_64_bits(tmp_path):
    assert load(tmp_path, GRAMMAR + f"seed: {MAX}").seed == MAX
    for text, overrides in ((f"seed: {MAX + 1}", ()), ("", (f"seed={MAX + 1}",))):
        with pytest.raises(InputError) as error:
            load(tmp_path, GRAMMAR + text, *overrides)
        assert f"seed: {MAX + 1} needs more than 64 bits; give at most {MAX}, which is 2^64 - 1" in str(error.value)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("training: {max_batches: 99999999999999999999}", "training.max_batches"),
        (
            "attribution: {methods: [{method: smoothgrad, n_samples: -9999999999999999999}]}",
            "attribution.methods.0.n_samples",
        ),
    ],
)
def test_no_whole_number_has_more_than_64_bits(tmp_path, text, key):
    with pytest.raises(InputError, match=re.escape(f"{key}: ")):
        load(tmp_path, GRAMMAR + text)


LARGE = [
    (
        "a: &a [x, x, x]\n"
        + "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else '*a'] * 9)}]\n" for i in range(9)),
        "values once its aliases are written out",
    ),
    ("[" * 50_000, "is nested too deeply"),
    ("[" * 20_000 + "]" * 20_000, "is nested too deeply"),
    ("seed: " + "9" * 5000, "holds a value that cannot be read: Exceeds the limit"),
    ("seed: 2021-13-45", "holds a value that cannot be read: month must be"),
]


@pytest.mark.parametrize(("text", "message"), LARGE, ids=[message for _, message in LARGE])
def test_what_no_configuration_is_ends_in_a_line_at_once(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        load_config(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_aliases_are_counted_as_often_as_they_stand():
    assert parse_yaml("{a: &a [1, 2], b: *a}", "x").data == {"a": [1, 2], "b": [1, 2]}
    node = yaml.compose("{a: &a [1, 2], b: [*a, *a]}")
    # the whole, two keys, two lists, and three times a list of two
    assert _n_values(node, {}) == 1 + 2 + 3 + (1 + 3 + 3)
