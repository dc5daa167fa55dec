"""What `simbench verify` says of tables and arrays with right checksums: names, places and numbers that cannot be."""

import h5py
import numpy as np
import pandas as pd
import pytest

from simbench_tf.run.verify_results import Known, array_problems, table_problems

KNOWN = Known(frozenset({"s0", "s1"}), frozenset({"HepG2", "K562"}), frozenset({"MA1", "MA2"}), 20)
IDS = np.array([b"s0", b"s1"])
KNOCKOUT = "knockouts/basset/K562/ism.h5"
MODISCO = {
    "pos_patterns/pattern_0/contrib_scores": np.ones((9, 4)),
    "pos_patterns/pattern_0/seqlets/start": np.array([0, 11]),
    "pos_patterns/pattern_0/seqlets/end": np.array([9, 20]),
}

#: File -> a right table, and wrong columns with what is said of each.
TABLES = {
    "dynamics/basset/learnt.csv": (
        {"task": ["HepG2", "(all)"], "motif": ["MA1", "MA2"]},
        [("motif", ["MA1", "x"], "names the motif 'x'"), ("task", ["Hep", "K562"], "names the task 'Hep'")],
    ),
    "oracle/posteriors.parquet": (
        {"seq_id": ["s0", "s1"], "HepG2": [0.5, 0.1]},
        [("seq_id", ["s0", "s9"], "names the sequence 's9'")],
    ),
    "oracle/site_pairs.parquet": (
        {"seq_id": ["s0"], "first_start": [1], "first_end": [8], "second_start": [9], "second_end": [20]},
        [("second_end", [21], "9 to 21 is no place in s0"), ("first_start", [-1], "-1 to 8 is no place in s0")],
    ),
    "scores/motifs.csv": (  # found motifs have names of their own
        {"task": ["HepG2"], "motif": ["pos_patterns.pattern_0"]},
        [("task", ["pos"], "names the task 'pos'")],
    ),
    "motifs/basset/K562/ism/seqlets/seqlets.tsv": (
        {"seq_id": ["s0"], "start": [2], "end": [9]},
        [("end", [2], "2 to 2 is no place in s0"), ("seq_id", ["1"], "names the sequence '1'")],
    ),
}
#: File -> right arrays, and wrong ones with what is said of each.
ARRAYS = {
    "references/shuffles.h5": (
        {"seq_id": IDS, "bases": np.zeros((2, 3, 20), np.uint8)},
        [
            ("bases", np.full((2, 3, 20), 5, np.uint8), "bases that are none"),
            ("bases", np.zeros((2, 3, 19), np.uint8), "of shape (2, 3, 19), not (2, 3, 20)"),
            ("seq_id", np.array([b"s0", b"s2"]), "names the sequence 's2'"),
        ],
    ),
    KNOCKOUT: (
        {"0/scores": np.zeros((2, 3, 20), np.float32), "0/answers": np.zeros((2, 4), np.float32)},
        [
            ("0/answers", np.zeros((2, 3)), "/0/answers of shape (2, 3), not (2, 4)"),
            ("0/answers", np.full((2, 4), np.nan), "answers 0 that are no numbers"),
            ("0/scores", np.zeros((1, 3, 20)), "/0/scores of shape (1, 3, 20), not (2, 3, 20)"),
        ],
    ),
    "oracle/occupancy.h5": (
        {"seq_id": IDS, "K562": np.zeros((2, 20), np.float32)},
        [
            ("K562", np.full((2, 20), 1.5), "probabilities of K562 that are none"),
            ("K563", np.zeros((2, 20)), "names the task 'K563'"),
            ("K562", np.zeros((3, 20)), "/K562 of shape (3, 20), not (2, 20)"),
        ],
    ),
    "oracle/knockouts.h5": (
        {"0": np.zeros((2, 4))},
        [("0", np.zeros((2, 3)), "/0 of shape (2, 3), not (2, 4)"), ("0", np.full((2, 4), np.nan), "answers 0 that")],
    ),
    "motifs/basset/K562/ism/null.h5": (
        {"scores": np.full((7, 20), np.nan, np.float32)},
        [("scores", np.zeros((7, 21)), "/scores of shape (7, 21), not (7, 20)")],
    ),
    "motifs/basset/K562/ism/modisco/modisco.h5": (
        MODISCO,
        [
            ("pos_patterns/pattern_0/seqlets/end", np.array([9, 21]), "has seqlets of pos_patterns/pattern_0 outside"),
            (
                "pos_patterns/pattern_0/seqlets/start",
                np.array([-1, 11]),
                "has seqlets of pos_patterns/pattern_0 outside",
            ),
            (
                "pos_patterns/pattern_0/contrib_scores",
                np.full((9, 4), np.nan),
                "pos_patterns/pattern_0 that are no numbers",
            ),
        ],
    ),
    "motifs/basset/K562/ism/seqlets/pvalues.h5": (
        {"seq_id": IDS, "pvalues": np.ones((2, 20), np.float32)},
        [("pvalues", np.zeros((2, 20)), "p-values that are none"), ("pvalues", np.ones((1, 20)), "of shape (1, 20)")],
    ),
}


def write_table(file, columns):
    file.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(columns)
    if file.suffix == ".parquet":
        table.to_parquet(file, index=False)
    else:
        table.to_csv(file, index=False, sep="\t" if file.suffix == ".tsv" else ",")


def write_arrays(file, arrays):
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as h5:
        for name, array in arrays.items():
            h5[name] = array


@pytest.mark.parametrize("name", TABLES)
def test_tables_name_what_is_there(tmp_path, name):
    right, wrong = TABLES[name]
    write_table(tmp_path / name, right)
    assert list(table_problems(tmp_path, [name], KNOWN)) == []
    for column, values, said in wrong:
        write_table(tmp_path / name, {**right, column: values})
        (line,) = table_problems(tmp_path, [name], KNOWN)
        assert line.startswith(f"{tmp_path / name}: ")
        assert said in line
    (tmp_path / name).write_bytes(b"\xff\xfe\x00")
    (line,) = table_problems(tmp_path, [name], KNOWN)
    assert "cannot be read" in line


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_of_the_data_set_and_hold_numbers(tmp_path, name):
    right, wrong = ARRAYS[name]
    names = [name, "attributions/basset/K562/ism.h5"]
    write_arrays(tmp_path / name, right)
    assert list(array_problems(tmp_path, names, KNOWN)) == []
    for array, values, said in wrong:
        write_arrays(tmp_path / name, {**right, array: values})
        (line,) = array_problems(tmp_path, names, KNOWN)
        assert line.startswith(f"{tmp_path / name}: ")
        assert said in line
    write_arrays(tmp_path / name, {"other": IDS})
    assert list(array_problems(tmp_path, names, KNOWN)) != []
    (tmp_path / name).write_bytes(b"none")
    (line,) = array_problems(tmp_path, names, KNOWN)
    assert "cannot be read" in line


def test_knockouts_are_of_an_attribution(tmp_path):
    write_arrays(tmp_path / KNOCKOUT, ARRAYS[KNOCKOUT][0])
    (line,) = array_problems(tmp_path, [KNOCKOUT], KNOWN)
    assert "knocks out sequences that no attribution of this name explains" in line
