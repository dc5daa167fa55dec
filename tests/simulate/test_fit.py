"""A fitted grammar against the one that drew its data, sites that are known, and direct optimisation.

Statistical tests use fixed seeds; next to each tolerance stands the sampling error it allows for.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import xlogy

from helpers.drawn_peaks import LENGTH, ONE, POSITION, arrays, drawn_from, grammar_of, motifs_of, settings, write_peaks
from helpers.grammars import sharp
from helpers.program import simbench
from simbench_tf.config import HUMAN_BACKGROUND, GrammarSimulation, Position, load_config
from simbench_tf.errors import InputError
from simbench_tf.motifs import load_motifs, write_meme
from simbench_tf.simulate.fit import em, fit_grammar, write_fitted
from simbench_tf.simulate.fit.background_words import counted_background
from simbench_tf.simulate.fit.evidence import supported_rates
from simbench_tf.simulate.fit.expected_sites import (
    Parameters,
    expect,
    sorted_by_pattern,
    start_counts,
    whole_words,
)
from simbench_tf.simulate.fit.fitted_settings import built
from simbench_tf.simulate.fit.maximise import fit_label_correlation, fit_position, fit_rates
from simbench_tf.simulate.grammar import build_grammar, draw, label_prior
from simbench_tf.simulate.grammar.background import one_background
from simbench_tf.simulate.grammar.labels import draw_patterns, pattern_probabilities
from simbench_tf.simulate.oracle import log_likelihood

TWO = {
    "tasks": {"A": {"fraction": 0.35}, "B": {"fraction": 0.3}},
    "label_correlation": 0.4,
    "elements": [
        {"motif": "CTCF", "rate": 0.3, "enriched": {"A": 0.6}, "position": POSITION},
        {"motif": "GATA1::TAL1", "rate": 0.5, "enriched": {"A": 0.3, "B": 0.4}, "position": POSITION},
        {"motif": "HNF4A", "rate": 0.25, "enriched": {"B": 0.5}, "position": {"centre": 100, "sd": 70, "floor": 0.1}},
        {"motif": "REST", "rate": 0.3},
    ],
}


def twice_as_long(truth: dict[str, Any]) -> GrammarSimulation:
    """In sequences of 400 bases, where a floor tells itself apart from a wide bell; positions stay about the middle."""
    simulation = settings(**truth, n_sequences=1)
    moved = [
        element.model_copy(
            update={"position": element.position.model_copy(update={"centre": element.position.centre + 100})}
        )
        if element.position.centre is not None
        else element
        for element in simulation.elements
    ]
    return simulation.model_copy(update={"seq_length": 2 * LENGTH, "elements": moved})


def rates_of(simulation: GrammarSimulation) -> np.ndarray:
    """Rate without a label, then with each task's alone, (T + 1, E)."""
    return np.array(
        [
            [element.rate + element.enriched.get(task, 0.0) for element in simulation.elements]
            for task in ["", *simulation.tasks]
        ]
    )


def problems(err: str) -> list[str]:
    """List the lines of stderr that are not the note of every BED file that it has no summits."""
    return [line for line in err.splitlines() if not line.endswith("their middles are taken")]


@pytest.fixture(scope="module")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_peaks(tmp_path_factory.mktemp("world"), settings(**ONE), 700)


@pytest.mark.slow
@pytest.mark.parametrize(("truth", "n"), [(ONE, 12_000), (TWO, 16_000)], ids=["one task", "two tasks"])
def test_rates_positions_and_labels_are_recovered_from_peak_files(truth, n, monkeypatch, capsys, tmp_path):
    true = twice_as_long(truth)
    code, out, err = simbench(monkeypatch, capsys, "fit", write_peaks(tmp_path, true, n), "--out", tmp_path / "g.yaml")
    assert (code, problems(err)) == (0, [])
    assert f"{len(true.elements)} of {len(true.elements)} motifs, fitted to {n} regions" in out
    fitted = load_config(tmp_path / "g.yaml").simulation
    assert [element.motif for element in fitted.elements] == [element.motif for element in true.elements]

    # every rate is known to 2.6% or better, so that this is about four standard errors
    np.testing.assert_allclose(rates_of(fitted), rates_of(true), rtol=0.1)
    assert [set(element.enriched) for element in fitted.elements] == [set(e.enriched) for e in true.elements]
    for task in true.tasks:
        # sampling error 0.004
        assert fitted.tasks[task].fraction == pytest.approx(true.tasks[task].fraction, abs=0.015)
    # sampling error 0.01
    assert fitted.label_correlation == pytest.approx(true.label_correlation, abs=0.04)
    for mine, its in zip(fitted.elements, true.elements, strict=True):
        if its.position.sd is None:
            assert mine.position == Position()
        else:
            # sampling errors of about 1, 2.5 and 0.015 (worst of six draws: 3.9, 6.2 and 0.026)
            assert mine.position.centre == pytest.approx(its.position.centre, abs=4.5)
            assert mine.position.sd == pytest.approx(its.position.sd, abs=10)
            assert mine.position.floor == pytest.approx(its.position.floor, abs=0.06)
    # sampling error 0.0003
    # the data's background looks back one base, the fitted one three: sampling error up to 0.002
    np.testing.assert_allclose(fitted.background, np.tile(HUMAN_BACKGROUND, (16, 1)), atol=0.01)
    assert_as_likely_as_the_truth(true, fitted, tmp_path, n)


def assert_as_likely_as_the_truth(true: GrammarSimulation, fitted: GrammarSimulation, folder: Path, n: int) -> None:
    """Unseen sequences and their labels: a fit loses about half a unit a parameter over the n sequences it had."""
    bases, labels = drawn_from(true, 3_000, seed=77)
    patterns = (labels << np.arange(labels.shape[1])).sum(axis=1)
    grammars = [grammar_of(true), build_grammar(fitted, load_motifs(folder / "motifs.meme"))]
    joint = [log_likelihood(grammar, bases) + np.log(label_prior(grammar)) for grammar in grammars]
    of_truth, of_fit = (each[np.arange(len(bases)), patterns].mean() for each in joint)
    # three parameters a row of the background, 20 others: 0.009 of 12,000 sequences; and sampling error
    assert of_fit > of_truth - (3 * len(fitted.background) + 20) / (2 * n) - 0.004


def test_errors_of_rates_are_those_that_are_stated():
    true = settings(**ONE)
    bases, labels = drawn_from(true, 1_500)
    fit = fit_grammar(bases, labels, motifs_of(true), ["A"])
    assert fit.converged
    estimate = np.array([[e.rate, e.enriched.get("A", 0.0)] for e in fit.simulation.elements]).T
    truth = np.array([[e.rate, e.enriched.get("A", 0.0)] for e in true.elements]).T
    held = fit.rate_errors == 0
    assert held.tolist() == [[False] * 3, [False, False, True]]
    z = (estimate - truth)[~held] / fit.rate_errors[~held]
    assert np.abs(z).max() < 4
    # with all sites seen, the error of a rate is that of a Poisson mean; sites that are guessed make it larger
    n_without = (labels == 0).sum()
    seen = np.sqrt(truth[0] / n_without)
    assert (fit.rate_errors[0, :2] > seen[:2] * 0.9).all()
    assert (fit.rate_errors < 0.06).all()


def test_a_fit_uses_the_same_part_of_the_sequences_whatever_their_number_of_passes():
    true = settings(**ONE)
    bases, labels = drawn_from(true, 600)
    told: list[int] = []
    fit = fit_grammar(bases, labels, motifs_of(true), ["A"], max_sequences=300, max_passes=3, advance=told.append)
    assert (fit.n_fitted, fit.n_passes, fit.converged) == (300, 4, False)
    assert sum(told) == 300 * fit.n_passes
    assert fit.simulation.n_sequences == 600
    assert fit.simulation.tasks["A"].fraction == pytest.approx(labels.mean(), rel=1e-3)


SHARP = [sharp("TGACTCATGCAATT", share=0.997), sharp("CCGGAAGTACTGAC", share=0.997)]


def test_expected_starts_are_the_true_sites_where_those_are_unmistakable():
    simulation = settings(
        tasks=ONE["tasks"],
        elements=[
            {"motif": SHARP[0].motif_id, "rate": 0.5, "enriched": {"A": 0.5}, "position": POSITION},
            {"motif": SHARP[1].motif_id, "rate": 0.2},
        ],
    )
    grammar = build_grammar(simulation, SHARP)
    drawn = draw(grammar, 1, 0, 500)
    bases, labels = arrays(drawn, ["A"])
    data = sorted_by_pattern(bases, labels)
    rates = np.array([[0.5, 0.2], [0.5, 0.0]])
    parameters = Parameters(
        rates,
        tuple(e.position for e in simulation.elements),
        (one_background(counted_background(whole_words(data, 1).sum(axis=0))),),
        np.ones(1),
    )
    expected = expect(parameters, SHARP, data, lambda _: None)

    true, counts = np.zeros((2, LENGTH, 2)), np.zeros((500, 2))
    row_of = {seq_id: row for row, seq_id in enumerate(drawn.sequences["seq_id"].to_pylist())}
    for site in drawn.sites.to_pylist():
        row, element = row_of[site["seq_id"]], [motif.motif_id for motif in SHARP].index(site["motif"])
        true[labels[row, 0], site["start"], element] += 1
        counts[row, element] += 1
    # half a misread base or a word by chance among 600 sites
    assert np.abs(expected.starts.sum(axis=1) - true.sum(axis=1)).max() < 1
    assert np.abs(expected.starts - true).max() < 0.6
    # nothing is in doubt, so the information is that of the counts themselves
    modelled = np.concatenate([np.ones((500, 1)), labels], axis=1) @ rates
    np.testing.assert_allclose(expected.resolved, ((counts - modelled) ** 2).sum(axis=0), rtol=0.01)
    # pairs of background bases: those of the sequence that no site covers
    assert expected.words.sum() == pytest.approx(500 * (LENGTH - 1) - true.sum() * 15, rel=0.002)


@given(st.data())
def test_start_counts_undo_coverage(data):
    width, length = data.draw(st.integers(1, 6)), 17
    starts = np.zeros(length)
    starts[: length - width + 1] = data.draw(
        st.lists(st.floats(0, 1), min_size=length - width + 1, max_size=length - width + 1)
    )
    coverage = np.array([starts[max(0, i - width + 1) : i + 1].sum() for i in range(length)])
    np.testing.assert_allclose(start_counts(coverage[:, None], [width])[:, 0], starts, atol=1e-12)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_backgrounds_are_counted_on_both_strands(order):
    bases = np.random.default_rng(order).choice(4, (30, 50), p=[0.4, 0.3, 0.2, 0.1]).astype(np.uint8)
    counts = np.ones((4,) * (order + 1))
    for row in [*bases, *(3 - bases[:, ::-1])]:
        for i in range(len(row) - order):
            counts[tuple(row[i : i + order + 1])] += 1
    expected = counts / counts.sum(axis=-1, keepdims=True)
    words = whole_words(sorted_by_pattern(bases, np.zeros((30, 1), np.int64)), order)
    np.testing.assert_allclose(counted_background(words[0]), expected.reshape(-1, 4))
    assert counted_background(np.zeros(4 ** (order + 1))).shape == (4**order, 4)


def test_a_background_of_higher_order_is_fitted(small_world, tmp_path):
    write_fitted(load_config(small_world), tmp_path / "g.yaml", background_order=2)
    simulation = load_config(tmp_path / "g.yaml").simulation
    # the data's background looks back one base only; sampling error up to 0.008
    np.testing.assert_allclose(simulation.background, np.tile(HUMAN_BACKGROUND, (4, 1)), atol=0.035)
    assert len(build_grammar(simulation, load_motifs(simulation.motifs)).elements) == 3


def test_rates_are_the_nonnegative_ones_of_the_highest_poisson_likelihood():
    design = np.array([[1.0, 0, 0], [1, 1, 0], [1, 0, 1], [1, 1, 1]])
    sizes = np.array([400, 100, 150, 50])
    # the second element is rarer with the second label than without: its enrichment is held at 0
    counts = np.array([[40.0, 80], [60, 60], [30, 15], [45, 20]])
    rates = fit_rates(counts, sizes, design, np.full((3, 2), 0.3))
    for _ in range(20):
        rates = fit_rates(counts, sizes, design, rates)
    for element in range(2):

        def objective(x: np.ndarray, element: int = element) -> float:
            modelled = design @ x
            return float((sizes * modelled - xlogy(counts[:, element], modelled)).sum())

        best = minimize(objective, np.full(3, 0.2), bounds=[(1e-9, None)] * 3, options={"ftol": 1e-15})
        np.testing.assert_allclose(rates[:, element], best.x, atol=1e-4)
    assert rates[2, 1] < 1e-3
    assert fit_rates(counts, sizes, design, np.array([[1.0, 1], [0, 1], [1, 1]]))[1, 0] == 0


@pytest.mark.parametrize(
    "position",
    [
        {"centre": 110, "sd": 60, "floor": 0.2},
        {"centre": 30, "sd": 15, "floor": 0.01},
        {"centre": 150, "sd": 8, "floor": 0.7},
    ],
)
def test_a_profile_is_found_from_starts_that_follow_it(position):
    simulation = settings(elements=[{"motif": "CTCF", "position": position}])
    profile = grammar_of(simulation).hmm.profile[:, :1]
    found, gain = fit_position(1_000 * profile, [len(motifs_of(simulation)[0].ppm)])
    assert found.centre == pytest.approx(position["centre"], abs=0.1)
    assert found.sd == pytest.approx(position["sd"], rel=0.01)
    assert found.floor == pytest.approx(position["floor"], abs=0.005)
    allowed = profile[profile > 0]
    assert gain == pytest.approx(1_000 * (allowed * np.log(allowed * len(allowed))).sum(), rel=1e-4)


def test_a_profile_of_several_elements_is_as_likely_as_any_on_a_grid():
    rng = np.random.default_rng(2)
    widths = np.array([10, 19])
    starts = (
        rng.poisson(3, (LENGTH, 2))
        + rng.poisson(4 * np.exp(-(((np.arange(LENGTH) - 80) / 30) ** 2) / 2), (2, LENGTH)).T
    )
    starts = np.where(np.arange(LENGTH)[:, None] <= LENGTH - widths, starts, 0).astype(np.float64)

    def likelihood(centre: float, sd: float, floor: float) -> float:
        total = 0.0
        for column, width in zip(starts.T, widths, strict=True):
            middle = np.arange(LENGTH - width + 1) + width / 2
            weights = floor + (1 - floor) * np.exp(-(((middle - centre) / sd) ** 2) / 2)
            total += float((column[: len(weights)] * np.log(weights / weights.sum())).sum())
        return total

    found, gain = fit_position(starts, widths)
    assert found.centre is not None
    assert found.sd is not None
    best = likelihood(found.centre, found.sd, found.floor)
    grid = [(c, s, f) for c in range(60, 121, 4) for s in (15, 20, 25, 30, 40, 60) for f in np.linspace(0.05, 0.95, 19)]
    assert best >= max(likelihood(*point) for point in grid)
    assert gain == pytest.approx(best - likelihood(0, 1, 1.0))


def test_starts_without_preference_have_a_flat_profile():
    assert fit_position(np.full((LENGTH, 1), 5.0), [1])[1] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("correlation", [-0.3, 0.0, 0.6])
def test_label_correlation_is_recovered(correlation):
    fractions = np.array([0.3, 0.5, 0.1])
    counts = np.rint(1e6 * pattern_probabilities(fractions, correlation)).astype(np.int64)
    assert fit_label_correlation(fractions, counts) == pytest.approx(correlation, abs=1e-3)
    drawn = np.bincount(draw_patterns(fractions, correlation, 1, np.arange(20_000)), minlength=8)
    # sampling error 0.01
    assert fit_label_correlation(fractions, drawn) == pytest.approx(correlation, abs=0.04)


def test_labels_that_never_meet_have_the_lowest_correlation():
    assert fit_label_correlation(np.array([0.5, 0.5]), np.array([0, 500, 500, 0])) < -0.99
    assert fit_label_correlation(np.array([0.5]), np.array([5, 5])) == 0


def test_of_two_motifs_that_look_alike_one_keeps_the_enrichment():
    # sequences that only tell the sum of two enrichments
    score = np.array([[1.0, 0.999], [0.999, 1.0]])
    design = np.array([[1.0, 0], [1, 1]])
    kept = supported_rates(np.array([[1.0, 1.0], [0.3, 0.31]]), 100 * np.stack([score, score]), design)
    assert kept.tolist() == [[True, True], [False, True]]
    none = supported_rates(np.array([[1.0, 1.0], [0.03, 0.031]]), 100 * np.stack([score, score]), design)
    assert none.tolist() == [[True, True], [False, False]]


def test_motifs_that_are_not_there_are_left_out_and_rare_ones_share_a_profile():
    true = settings(**ONE)
    bases, labels = drawn_from(true, 300)
    absent = sharp("GGGGCCCCATATTTAACGCG", share=0.997)
    fit = fit_grammar(bases, labels, [*motifs_of(true), absent], ["A"])
    assert [motif.tf for motif in fit.left_out] == [absent.tf]
    assert len(fit.simulation.elements) == 3
    assert len({element.position for element in fit.simulation.elements}) == 1
    with pytest.raises(InputError, match="none of 1 motifs starts"):
        fit_grammar(bases, labels, [absent], ["A"])


@pytest.mark.parametrize("factor", [50.0, 0.2], ids=["no room", "less likely"])
def test_a_stretch_too_far_is_taken_back(factor, monkeypatch):
    true = settings(**ONE)
    bases, labels = drawn_from(true, 400)
    monkeypatch.setattr(em, "_stretched", lambda _first, _second, third: third)
    plain = fit_grammar(bases, labels, motifs_of(true), ["A"]).simulation
    monkeypatch.setattr(em, "_stretched", lambda _first, _second, third: third * factor)
    np.testing.assert_allclose(
        rates_of(fit_grammar(bases, labels, motifs_of(true), ["A"]).simulation), rates_of(plain), rtol=0.005
    )


def test_the_written_configuration_runs_and_keeps_the_rest(small_world, tmp_path):
    out = tmp_path / "new" / "grammar.yaml"
    fitted = write_fitted(load_config(small_world), out)
    text = out.read_text()
    assert text.startswith("# A grammar fitted by `simbench fit` to the peaks of world")
    assert "# From 700 of 700 regions of 200 bases" in text
    assert fitted.summary.startswith("3 of 3 motifs, fitted to 700 regions in ")
    before, after = load_config(small_world), load_config(out)
    for part in ("seed", "models", "training", "attribution", "scoring", "export"):
        assert getattr(after, part) == getattr(before, part)
    assert after.name == "world_fitted"
    simulation = after.simulation
    assert isinstance(simulation, GrammarSimulation)
    assert (simulation.seq_length, simulation.n_sequences) == (LENGTH, 700)
    assert (simulation.splits.valid, simulation.splits.test) == (0.15, 0.25)
    grammar = build_grammar(simulation, load_motifs(simulation.motifs))
    assert draw(grammar, 1, 0, 5).sequences.num_rows == 5


def test_models_of_another_length_are_not_carried_over(small_world, tmp_path):
    import keras

    for name, length in (("fits", LENGTH), ("any", None), ("longer", LENGTH + 100)):
        layers = [keras.Input((length, 4)), keras.layers.GlobalMaxPooling1D(), keras.layers.Dense(1, "sigmoid")]
        keras.Sequential(layers).save(tmp_path / f"{name}.keras")
    (tmp_path / "entry").mkdir()
    (tmp_path / "entry" / "model.yaml").write_text(f"schema: {{inputs: {{shape: '({LENGTH - 10}, 4)'}}}}")
    named = [f"{{name: {name}, keras: {tmp_path / name}.keras}}" for name in ("fits", "any", "longer")]
    named += [f"{{name: short, kipoi: {tmp_path / 'entry'}}}", "{name: ours, architecture: basset}"]
    with pytest.warns(UserWarning, match="left out") as warned:
        write_fitted(load_config(small_world, [f"models=[{', '.join(named)}]"]), tmp_path / "g.yaml")
    told = [str(each.message) for each in warned if "left out" in str(each.message)]
    assert told == [
        f"models.longer: takes {LENGTH + 100} bases, the grammar draws {LENGTH}; it is left out",
        f"models.short: takes {LENGTH - 10} bases, the grammar draws {LENGTH}; it is left out",
    ]
    assert [model.name for model in load_config(tmp_path / "g.yaml").models] == ["fits", "any", "ours"]
    with pytest.warns(UserWarning, match="models.longer"):
        write_fitted(load_config(small_world, [f"models=[{named[2]}]"]), tmp_path / "g.yaml")
    (model,) = load_config(tmp_path / "g.yaml").models
    assert model.architecture == "basset"


def test_two_fits_give_the_same_bytes(small_world, monkeypatch, capsys, tmp_path):
    for name in ("a.yaml", "b.yaml"):
        arguments = ["fit", small_world, "--out", tmp_path / name, "--max-sequences", 400]
        code, out, err = simbench(monkeypatch, capsys, *arguments)
        assert (code, problems(err)) == (0, [])
        assert out.splitlines()[-1] == f"grammar: {tmp_path / name}"
    assert (tmp_path / "a.yaml").read_bytes() == (tmp_path / "b.yaml").read_bytes()
    assert "# From 400 of 700 regions" in (tmp_path / "a.yaml").read_text()


def test_chromosomes_become_fractions_and_a_shared_factor_is_named_by_id(small_world, tmp_path):
    folder = small_world.parent
    twin = load_motifs(folder / "motifs.meme")
    twin = [*twin, twin[0]._replace(motif_id="twin", ppm=twin[0].ppm[::-1])]
    write_meme(twin, tmp_path / "twins.meme")
    overrides = [f"simulation.motifs={tmp_path / 'twins.meme'}", "simulation.splits={chromosomes: {test: [chr2]}}"]
    text = (folder / "genome.fa").read_text()
    (tmp_path / "two.fa").write_text(text + text.replace("chr1", "chr2"))
    for name in ("A", "background"):
        bed = (folder / f"{name}.bed").read_text()
        (tmp_path / f"{name}.bed").write_text(bed + bed.replace("chr1", "chr2"))
    overrides += [
        f"simulation.genome={tmp_path / 'two.fa'}",
        f"simulation.peaks.A={tmp_path / 'A.bed'}",
        f"simulation.background={tmp_path / 'background.bed'}",
    ]
    write_fitted(load_config(small_world, overrides), tmp_path / "g.yaml")
    simulation = load_config(tmp_path / "g.yaml").simulation
    assert simulation.splits.chromosomes is None
    assert simulation.elements[0].motif == twin[0].motif_id
    assert simulation.elements[1].motif == twin[1].tf


def test_peaks_without_background_draw_a_warning_with_the_share(tmp_path):
    two = write_peaks(tmp_path, settings(**TWO), 500, background=None, motifs="motifs.meme")
    with pytest.warns(UserWarning, match=r"^every region is positive for some task, but [0-9.]+% of the sequences"):
        write_fitted(load_config(two), tmp_path / "g.yaml")
    assert load_config(tmp_path / "g.yaml").simulation.label_correlation < 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["demo", "--out", "g.yaml"], "simulation.kind: is a grammar already"),
        (["PEAKS", "--out", "."], ".: is a folder"),
        (["PEAKS", "--out", "g.yaml", "--set", "simulation.min_pos_hits=99999"], "none of 3 motifs has 99999 hits"),
        (["PEAKS", "--out", "g.yaml", "--set", "simulation.genome=gone.fa"], "gone.fa: no such FASTA file"),
        (["PEAKS", "--out", "PEAKS"], "is the configuration to fit to"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(arguments, message, small_world, monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    arguments = [str(small_world) if argument == "PEAKS" else argument for argument in arguments]
    before = small_world.read_bytes()
    code, out, err = simbench(monkeypatch, capsys, "fit", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert len(problems(err)) == 1
    assert not list(tmp_path.iterdir())
    assert small_world.read_bytes() == before


def test_a_file_where_the_folder_should_be_is_bad_input(small_world, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="taken is no folder"):
        write_fitted(load_config(small_world), tmp_path / "taken" / "g.yaml")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": np.zeros((4, 2), np.uint8)}, "need bases uint8"),
        ({"labels": np.full((4, 1), 2)}, "labels must be 0 or 1"),
        ({"labels": np.ones((4, 1), np.uint8)}, "all sequences have the same label for A"),
        ({"bases": np.zeros((4, LENGTH))}, "need bases uint8"),
    ],
)
def test_wrong_arrays_are_refused(change, message):
    given_ = {"bases": np.zeros((4, LENGTH), np.uint8), "labels": np.array([[0], [1], [1], [0]]), **change}
    with pytest.raises(ValueError, match=message):
        fit_grammar(given_["bases"], given_["labels"], SHARP, ["A"])


def test_too_many_tasks_are_refused():
    with pytest.raises(InputError, match="11 tasks are more than a grammar takes"):
        fit_grammar(np.zeros((4, LENGTH), np.uint8), np.zeros((4, 11), np.uint8), SHARP, [f"t{i}" for i in range(11)])


def test_rates_that_cannot_be_drawn_name_the_mend():
    simulation = settings(elements=[{"motif": "CTCF", "rate": 30}], tasks={"A": {}})
    with pytest.raises(InputError, match=r"simulation\.motifs: their rates in the peaks cannot be drawn: the rates"):
        built(simulation, motifs_of(simulation))


def test_a_fit_that_does_not_settle_draws_a_warning(small_world, monkeypatch, tmp_path):
    monkeypatch.setattr("simbench_tf.simulate.fit.configuration._MAX_PASSES", 2)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        write_fitted(load_config(small_world), tmp_path / "g.yaml")
    assert any("rates still move after 3 passes" in str(warning.message) for warning in caught)
