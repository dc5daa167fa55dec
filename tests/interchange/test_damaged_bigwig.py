"""bigWig files of others: values equal to pyBigWig's own, and damage that crashes it, or has no end, as one line."""

import numpy as np
import pandas as pd
import pyBigWig
import pytest

from helpers.mutants import mutants
from simbench_tf.errors import InputError
from simbench_tf.interchange import attribution_readers, bigwig_values
from simbench_tf.interchange.attribution_readers import read_bigwig

LOCI = pd.DataFrame(
    [("chr1", 95, 195), ("chr2", 0, 100), ("chr1", 0, 100), ("chr2", 300, 400)], columns=["chrom", "start", "end"]
)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.bw"
    rng = np.random.default_rng(1)
    with pyBigWig.open(str(path), "w") as bigwig:
        bigwig.addHeader([("chr1", 1000), ("chr2", 400)])
        for chrom in ("chr1", "chr2"):
            bigwig.addEntries(chrom, 50, values=rng.normal(size=100).tolist(), span=1, step=1)
    return path


def test_values_are_those_that_pybigwig_reads_here(path):
    values = read_bigwig(path, LOCI).values
    with pyBigWig.open(str(path)) as bigwig:
        expected = [bigwig.values(chrom, start, end) for chrom, start, end in LOCI.itertuples(index=False)]
    np.testing.assert_array_equal(values, np.array(expected, np.float32))
    assert np.isnan(values).sum(axis=1).tolist() == [45, 50, 50, 100]


def test_what_is_no_bigwig_or_lacks_a_place_says_so(path, tmp_path):
    mend = "write it for the genome of the data set"
    for place, shown in (("chr2", 301, 401), "chr2:301-401"), (("chrM", 0, 100), "chrM:0-100"):
        loci = pd.DataFrame([place], columns=LOCI.columns)
        with pytest.raises(InputError, match=rf"a\.bw: has no {shown}; {mend}$"):
            read_bigwig(path, loci)
    path.write_bytes(b"no bigWig")
    for each in (path, tmp_path / "absent.bw", tmp_path):
        with pytest.raises(InputError, match=r": is missing or no bigWig; give a bigWig file$"):
            read_bigwig(each, LOCI)


@pytest.mark.parametrize(
    ("program", "seconds", "message"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", 60, "cannot be read by pyBigWig"),
        ("raise RuntimeError('no memory')", 60, "cannot be read by pyBigWig"),
        ("print('too few')", 60, "cannot be read by pyBigWig"),
        ("import time; time.sleep(600)", 1, "was not read within 1 s"),
    ],
)
def test_a_crash_or_no_end_is_one_line(path, tmp_path, monkeypatch, program, seconds, message):
    (tmp_path / "program.py").write_text(program)
    monkeypatch.setattr(bigwig_values, "__file__", str(tmp_path / "program.py"))
    monkeypatch.setattr(attribution_readers, "_BIGWIG_SECONDS", seconds)
    with pytest.raises(InputError) as error:
        read_bigwig(path, LOCI)
    assert str(error.value) == f"{path}: {message}; it may be damaged: write it again"


@pytest.mark.slow
def test_no_damage_ends_this_process(path):
    content = path.read_bytes()
    zoom_levels = content[:6] + b"\xff\xff" + content[8:]  # more than there are: a crash of pyBigWig 0.3.29
    errors = []
    for copy in (zoom_levels, *mutants(content, 100, random_state=1)):
        path.write_bytes(copy)
        try:
            assert read_bigwig(path, LOCI).values.shape == (4, 100)
        except InputError as error:
            errors.append(str(error))
    assert len(errors) > 50
    assert all(error.startswith(f"{path}: ") and "\n" not in error for error in errors)
