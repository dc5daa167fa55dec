"""Pairs of motifs are read back from where the callers' files stand."""

import numpy as np
import pandas as pd

from simbench_tf import tables
from simbench_tf.motifs import Motif, write_meme
from simbench_tf.run.motif_pairs import read_motif_pairs
from simbench_tf.run.results import _calls

KEYS = {"model": "NA", "task": "1e3"}


def motif(name: str, base: int) -> Motif:
    return Motif(name, name, np.eye(4)[[base, base]], 10)


def row(key: str, caller: str, **more) -> dict:
    found = {"kind": "true", "motif": "MA1", "best": "p0", "strand": "-", "start_error": -1.0, "correlation": 0.95}
    return KEYS | {"key": key, "caller": caller, "status": "found"} | found | more


def test_each_callers_own_file_is_read(tmp_path):
    places = {
        "dataset": motif("MA1", 0),
        "motifs/NA/1e3/ism@none/modisco": motif("p0", 1),
        "motifs/NA/filters": motif("p0", 2),
    }
    for place, each in places.items():
        (tmp_path / place).mkdir(parents=True)
        write_meme([each], tmp_path / place / "motifs.meme")
    rows = [
        row("ism@none", "modisco"),
        row("filters", "filters", strand="+", start_error=3.0),
        row("mine.meme", "file"),  # whose matrices are not here
        row("ism@none", "modisco", best=None, strand=None, start_error=None),
        row("ism@none", "modisco", kind="found", motif="p0", best="MA1"),
    ]
    pd.DataFrame(rows).reindex(columns=list(tables.FOUND_MOTIF_COLUMNS)).to_csv(tmp_path / "motifs.csv", index=False)
    table = _calls(tmp_path / "motifs.csv", tables.FOUND_MOTIF_COLUMNS)
    first, second = read_motif_pairs(tmp_path, table)
    assert first[:4] == ("NA", "1e3", "ism@none", "modisco"), "names stay text"
    assert [int(each.found.ppm[0].argmax()) for each in (first, second)] == [1, 2]
    assert [int(each.true.ppm[0].argmax()) for each in (first, second)] == [0, 0]
    assert [(each.strand, each.start) for each in (first, second)] == [("-", -1), ("+", 3)]


def test_tables_of_an_earlier_version_are_of_given_files(tmp_path):
    pd.DataFrame([KEYS | {"key": "hits.tsv", "by": "all", "group": "all"}]).to_csv(tmp_path / "i.csv", index=False)
    table = _calls(tmp_path / "i.csv", tables.INSTANCE_COLUMNS)
    assert tuple(table.columns) == tables.INSTANCE_COLUMNS
    assert table.loc[0, ["model", "caller"]].tolist() == ["NA", "file"]
    assert _calls(tmp_path / "none.csv", tables.INSTANCE_COLUMNS) is None
