"""The configuration: defaults, paths, overrides, and one line for whatever is wrong."""

import re
import textwrap

import pytest
import yaml

from helpers.folders import REPOSITORY, SHARED
from simbench_tf.config import config_dict, load_config, presets, variants_of, write_config
from simbench_tf.errors import InputError


def load(tmp_path, text, overrides=()):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    return load_config(path, overrides)


@pytest.mark.parametrize("name", presets())
def test_presets_load_and_say_what_they_are(name):
    assert load_config(name).name == name
    assert presets()[name].read_text().startswith("# ")


def test_only_kind_genome_and_peaks_have_no_default(tmp_path):
    grammar = load(tmp_path, "simulation: {kind: grammar}")
    assert grammar.simulation.n_sequences == 20_000
    assert grammar.tasks == ["HepG2", "K562"]
    peaks = load(tmp_path, "simulation: {kind: peaks, genome: g.fa, peaks: {H1: h1.bed}}")
    assert (peaks.simulation.region_size, peaks.simulation.min_pos_hits, peaks.simulation.min_enrichment) == (
        400,
        100,
        1.2,
    )
    assert peaks.simulation.genome == tmp_path / "g.fa"
    assert peaks.simulation.peaks == {"H1": tmp_path / "h1.bed"}
    assert peaks.training.max_batches == 30_000
    assert peaks.attribution.n_sequences == 100
    assert peaks.name == "c"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("simulaton: {kind: grammar}", "unknown key 'simulaton'; did you mean 'simulation'?"),
        (
            "simulation: {kind: grammar, seq_lenght: 300}",
            "unknown key 'simulation.seq_lenght'; did you mean 'seq_length'?",
        ),
        (
            "simulation: {kind: peaks, genome: a, peaks: {H1: b}, regoin_size: 300}",
            "unknown key 'simulation.regoin_size'; did you mean 'region_size'?",
        ),
        (
            "simulation: {kind: grammar, elements: [{motif: CTCF, position: {center: 3}}]}",
            "unknown key 'simulation.elements.0.position.center'; did you mean 'centre'?",
        ),
        (
            "simulation: {kind: grammar}\nattribution: {output: probability, methods: [gkmexplain]}",
            "attribution.output is probability, and gkmexplain explains the decision value of a gkm-SVM; take logit",
        ),
        (
            "simulation: {kind: grammar}\nmodels: [{name: a, architecure: basset}]",
            "unknown key 'models.0.architecure'; did you mean 'architecture'?",
        ),
        ("simulation: {kind: peaks, peaks: {H1: a.bed}}", "simulation.genome: is missing"),
        ("simulation: {kind: peaks, genome: a.fa}", "simulation.peaks: is missing"),
        (
            "simulation: {kind: peaks, genome: a.fa, peaks: {}}",
            "simulation.peaks: Dictionary should have at least 1 item",
        ),
        ("simulation: {kind: pekas}", "simulation.kind: must be peaks, grammar or text"),
        ("name: a", "simulation: is missing"),
        ("simulation: {kind: grammar, tasks: {H1: {fraction: 2}}}", "simulation.tasks.H1.fraction"),
        (
            "simulation: {kind: grammar, elements: [{motif: CTCF, enriched: {hepg2: .3}}]}",
            "elements.0.enriched names 'hepg2', which is no task; did you mean 'HepG2'?",
        ),
        ("simulation: {kind: grammar, elements: [{rate: .1}]}", "an element needs either `motif` or `pair`"),
        ("simulation: {kind: grammar, elements: [{motif: A}, {motif: A}]}", "elements names 'A' twice"),
        ("simulation: {kind: grammar, splits: {valid: .5, test: .5}}", "leave nothing to train on"),
        (
            "simulation: {kind: grammar}\nmodels: [{architecture: basset}, {architecture: beluga}]",
            "models share a name",
        ),
        (
            "simulation: {kind: grammar}\nmodels: [{name: a, architecture: basset}, {name: A, architecture: beluga}]",
            "models 'a' and 'A' differ in case only",
        ),
        ("simulation: {kind: peaks, genome: a, peaks: {H1: b, h1: c}}", "tasks 'H1' and 'h1' differ in case only"),
        (
            "simulation: {kind: grammar}\nattribution: {methods: [{method: integrated_gradients, "
            f"n_steps: {list(range(1, 1001))}, random_state: {list(range(11))}}}]}}",
            "attribution.methods: entry 0: makes 11,000 entries, 10,000 are the most",
        ),
        (
            "simulation: {kind: grammar}\nmodels: [{architecture: basset, seeds: 100000000}]",
            "models.0.seeds: Input should",
        ),
        ("simulation: {kind: peaks, genome: a, peaks: {start: b}}", "task name 'start' cannot be used"),
        ("simulation: {kind: peaks, genome: a, peaks: {../x: b}}", "task name '../x' cannot be used"),
        ("simulation: {kind: grammar}\nattribution: {tasks: [H1]}", "attribution.tasks names 'H1'"),
        ("- a\n- b", "holds no configuration"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_naming_file_and_key(tmp_path, text, message):
    with pytest.raises(InputError) as error:
        load(tmp_path, text)
    line = str(error.value)
    assert line.startswith(str(tmp_path / "c.yaml"))
    assert message in line
    assert "\n" not in line


def test_rates_of_tasks_that_are_not_in_the_set_are_passed_over(tmp_path):
    text = "simulation: {kind: grammar, elements: [{motif: SOX2, rate: .02, enriched: {H1: .4, K562: .1}}]}"
    with pytest.warns(UserWarning, match=r"elements\.0\.enriched names 'H1', which is no task; .* ignored"):
        config = load(tmp_path, text)
    assert config.simulation.elements[0].enriched == {"K562": 0.1}


DESIGN = SHARED / "DESIGN.md"


@pytest.mark.skipif(not DESIGN.is_file(), reason="needs the design, in shared beside the project")
@pytest.mark.filterwarnings("ignore:elements.1.enriched names 'H1'")
@pytest.mark.parametrize("kind", ["peaks", "grammar"])
def test_the_configurations_of_the_design_are_taken(tmp_path, kind):
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?:^ {4}.*\n|^\n)+", DESIGN.read_text(), re.MULTILINE)]
    (block,) = (block for block in blocks if f"kind: {kind}" in block)
    config = load(tmp_path, re.sub(r"\{task: K562, when:.*", "", block))
    assert config.simulation.kind == kind
    assert config.simulation.splits.valid == 0.1


def test_broken_yaml_names_the_line(tmp_path):
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'c.yaml'}:2")):
        load(tmp_path, "name: a\nmodels: [}\n")


def test_an_unknown_preset_names_the_nearest():
    with pytest.raises(InputError, match="dmo: is neither a file nor a preset; did you mean 'demo'"):
        load_config("dmo")


def test_overrides_reach_into_lists_and_make_missing_keys(tmp_path):
    config = load(
        tmp_path,
        "simulation: {kind: grammar}\nmodels: [{architecture: basset}]",
        ["models.0.width=.5", "training.patience=0"],
    )
    assert config.models[0].width == 0.5
    assert config.training.patience == 0


@pytest.mark.parametrize("override", ["training.patience", "models.4.width=1", "seed.deep=1", "a=[", "=3"])
def test_a_bad_override_names_itself(tmp_path, override):
    with pytest.raises(InputError, match=re.escape(f"--set {override}")):
        load(tmp_path, "simulation: {kind: grammar}\nseed: 3\nmodels: [{architecture: basset}]", [override])


def test_a_number_of_thousands_of_digits_is_no_item(tmp_path):
    digits = "9" * 5000
    with pytest.raises(InputError, match=f"'{digits}' is no item of a list of 1"):
        load(tmp_path, "simulation: {kind: grammar}\nmodels: [{architecture: basset}]", [f"models.{digits}.width=1"])
    with pytest.raises(InputError, match="unknown key"):
        load(tmp_path, "simulation: {kind: grammar}", [f"{digits}=1"])


BROKEN = [
    ("demo", ["seed=2", "sed=1"], "--set sed=1: unknown key 'sed'; did you mean 'seed'?"),
    ("demo", ["training.max_batches=x"], "--set training.max_batches=x: training.max_batches: Input should be a valid"),
    ("demo", ["models=3"], "--set models=3: models: Input should be a valid list"),
    # a key below the one that was set, one above, and one beside: the settings do not fit each other
    (
        "demo",
        ["simulation={kind: grammar, tasks: {A: {fraction: 2}}}"],
        "--set simulation={kind: grammar, tasks: {A: {fr",
    ),
    (
        "demo",
        ["training.warmup_batches=100000"],
        "--set training.warmup_batches=100000: training: warmup_batches 100000",
    ),
    (
        "demo",
        ["name=b", "attribution.tasks=[H1]"],
        "--set name=b --set attribution.tasks=[H1]: attribution.tasks names",
    ),
    # the file's own fault
    ("training: {patience: -1}", ["seed=2"], "{path}: training.patience: Input should be greater"),
    ("attribution: {tasks: [H1]}", ["seed=2"], "{path}: attribution.tasks names 'H1', which is no task"),
    ("training: {patience: -1}", ["training.patience=-2"], "--set training.patience=-2: training.patience"),
]


@pytest.mark.parametrize(("source", "overrides", "message"), BROKEN)
def test_what_an_override_breaks_names_the_override(tmp_path, source, overrides, message):
    path = tmp_path / "c.yaml"
    path.write_text(f"simulation: {{kind: grammar}}\n{source}")
    with pytest.raises(InputError) as error:
        load_config(source if source == "demo" else path, overrides)
    assert str(error.value).startswith(message.replace("{path}", str(path)))
    assert "site-packages" not in str(error.value)


@pytest.mark.parametrize("name", presets())
def test_the_resolved_configuration_is_a_configuration(tmp_path, name):
    config = load_config(name)
    write_config(config, tmp_path / "config.yaml")
    assert config_dict(load_config(tmp_path / "config.yaml")) == config_dict(config)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["versions"]["numpy"]


VARIED = """
simulation: {kind: grammar, n_sequences: 50, tasks: {H1: {fraction: .2}}, elements: [{motif: SOX2}]}
models: [{name: a, architecture: basset}, {name: b, architecture: beluga}]
training: {batch_size: 10, patience: 1}
variants:
  large: {about: for a GPU, simulation: {n_sequences: 70}, models: [{name: c, architecture: basset}], seed: 5}
  more: {simulation: {tasks: {K562: {fraction: .3}}}, attribution: {n_sequences: 9}}
"""


def test_a_variant_is_the_file_with_its_settings_merged_in(tmp_path):
    own = load(tmp_path, VARIED)
    large, more = (load_config(f"{tmp_path / 'c.yaml'}:{name}") for name in ("large", "more"))
    assert (own.simulation.n_sequences, own.seed) == (50, 1234)
    assert (large.simulation.n_sequences, large.seed) == (70, 5)
    assert [model.name for model in large.models] == ["c"], "a list takes the other's place"
    assert large.training == own.training
    assert large.simulation.elements == own.simulation.elements
    assert {task: each.fraction for task, each in more.simulation.tasks.items()} == {"H1": 0.2, "K562": 0.3}
    assert more.attribution.n_sequences == 9, "also where the file says nothing of its own"
    assert more.name == "c"
    assert variants_of(tmp_path / "c.yaml") == {"large": "for a GPU", "more": ""}


def test_overrides_come_after_a_variant(tmp_path):
    (tmp_path / "c.yaml").write_text(VARIED)
    config = load_config(f"{tmp_path / 'c.yaml'}:large", ["simulation.n_sequences=80", "models.0.width=.5"])
    assert config.simulation.n_sequences == 80
    assert config.models[0].width == 0.5


def test_paths_in_a_variant_are_taken_from_the_files_folder(tmp_path):
    text = (
        "simulation: {kind: peaks, genome: g.fa, peaks: {H1: h1.bed}}\nvariants: {other: {simulation: {genome: o.fa}}}"
    )
    (tmp_path / "c.yaml").write_text(text)
    assert load_config(f"{tmp_path / 'c.yaml'}:other").simulation.genome == tmp_path / "o.fa"


def test_a_file_whose_own_name_has_a_colon_comes_before_a_variant(tmp_path):
    (tmp_path / "c.yaml").write_text(VARIED)
    (tmp_path / "c.yaml:large").write_text("simulation: {kind: grammar, n_sequences: 3}")
    assert load_config(tmp_path / "c.yaml:large").simulation.n_sequences == 3


@pytest.mark.parametrize(
    ("text", "variant", "message"),
    [
        (VARIED, ":larg", "'larg' is no variant of it; did you mean 'large'?"),
        (VARIED, ":x", "'x' is no variant of it; known: large, more"),
        (VARIED, ":", "'' is no variant of it; known: large, more"),
        ("simulation: {kind: grammar}", ":x", "'x' is no variant of it, it has none"),
        ("simulation: {kind: grammar}\nvariants: [full]", ":full", "variants: is no mapping of names to settings"),
        ("simulation: {kind: grammar}\nvariants: {full: 3}", ":full", "variants: is no mapping of names to settings"),
        (
            "simulation: {kind: grammar}\nvariants: {full: {trainig: {}}}",
            ":full",
            "unknown key 'trainig'; did you mean 'training'?",
        ),
        ("simulation: {kind: grammar}\nabout: me", "", "unknown key 'about'"),
    ],
)
def test_what_is_wrong_with_a_variant_is_said_in_one_line(tmp_path, text, variant, message):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        load_config(f"{tmp_path / 'c.yaml'}{variant}")
    line = str(error.value)
    assert line.startswith(str(tmp_path / "c.yaml"))
    assert message in line
    assert "\n" not in line


def test_a_variant_of_an_unknown_preset_names_the_nearest_preset():
    with pytest.raises(InputError, match="five_line:full: is neither a file nor a preset; did you mean 'five_lines'"):
        load_config("five_line:full")


VARIANTS = [f"{name}:{variant}" for name, path in presets().items() for variant in variants_of(path)]


@pytest.mark.parametrize("source", VARIANTS)
def test_variants_of_presets_say_what_they_are(source):
    name, _, variant = source.partition(":")
    assert variants_of(presets()[name])[variant]
    load_config(source)


@pytest.mark.parametrize("source", VARIANTS)
def test_the_resolved_configuration_of_a_variant_holds_no_variants(tmp_path, source):
    config = load_config(source)
    write_config(config, tmp_path / "config.yaml")
    assert config_dict(load_config(tmp_path / "config.yaml")) == config_dict(config)
    assert "variants" not in yaml.safe_load((tmp_path / "config.yaml").read_text())


@pytest.mark.parametrize("source", ["encode_five", "encode_a549", REPOSITORY / "examples" / "chr2.yaml"], ids=str)
def test_runs_on_real_peaks_rank_by_the_papers_truth(source):
    config = load_config(source)
    assert config.simulation.kind == "peaks"
    assert config.scoring.truth == "rescanned"
