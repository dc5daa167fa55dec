"""Tomtom's p-values beside the correlation: likeness in order, strands, no value without memelite."""

import numpy as np
import pytest

from simbench_tf.discovery import score_motifs, tomtom
from simbench_tf.discovery.tomtom import tomtom_p_values
from simbench_tf.motifs import load_motifs

MOTIFS = load_motifs()
PART = MOTIFS[:6]


@pytest.fixture
def memelite():
    return pytest.importorskip("memelite")


def test_motifs_are_nearest_to_themselves(memelite):
    values = tomtom_p_values(PART, PART)
    assert (values.argmin(axis=1) == np.arange(6)).all()
    assert (np.diag(values) < 1e-6).all()
    assert ((values > 0) & (values <= 1)).all()


def test_values_stand_by_true_and_found_motif(memelite):
    values = tomtom_p_values(PART[:2], PART[1:4])
    assert values.shape == (3, 2)
    assert values[0, 1] < 1e-6 < values[0, 0]


def test_the_strand_does_not_matter(memelite):
    turned = [each._replace(ppm=each.ppm[::-1, ::-1]) for each in PART]
    one, two = (np.log10(tomtom_p_values(each, PART)) for each in (PART, turned))
    np.testing.assert_allclose(one, two, rtol=0.15, atol=0.05)  # scores are binned, ties fall otherwise


def test_shuffled_motifs_have_p_values_as_drawn_at_random(memelite):
    """Of motifs whose columns are shuffled a share of about x has a p-value below x."""
    rng = np.random.default_rng(0)
    shuffled = [each._replace(ppm=rng.permutation(each.ppm)) for each in MOTIFS]
    values = tomtom_p_values(shuffled, MOTIFS)
    assert 0.02 < (values < 0.05).mean() < 0.1


def test_tables_have_the_p_value_of_the_best_partner(memelite):
    table = score_motifs(PART[2:4], PART[:4], n_shuffles=0)
    values = tomtom_p_values(PART[2:4], PART[:4])
    true, found = (table[table["kind"] == kind].reset_index(drop=True) for kind in ("true", "found"))
    ids = [each.motif_id for each in PART]
    columns = [ids[2:4].index(best) for best in true["best"]]
    np.testing.assert_array_equal(true["tomtom_p"], values[np.arange(4), columns])
    np.testing.assert_array_equal(found["tomtom_p"], [values[2, 0], values[3, 1]])


def test_without_memelite_there_is_no_value(monkeypatch):
    monkeypatch.setattr(tomtom, "is_installed", lambda: False)
    table = score_motifs(PART[:2], PART, n_shuffles=0)
    assert table["tomtom_p"].isna().all()
    assert table["correlation"].notna().all()


def test_no_motifs_give_no_values():
    assert tomtom_p_values([], PART).shape == (6, 0)
    assert tomtom_p_values(PART, []).shape == (0, 6)
    assert score_motifs([], PART)["tomtom_p"].isna().all()
