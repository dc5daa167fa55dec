"""Names that a spreadsheet would execute come into no table: each reader of names refuses them, in one line."""

import numpy as np
import pytest

from simbench_tf.config import Element
from simbench_tf.discovery.call_tables import read_call_table
from simbench_tf.discovery.sequences import Sequences
from simbench_tf.errors import InputError
from simbench_tf.files import safe_name
from simbench_tf.genome import open_genome
from simbench_tf.genome.vcf import Unreadable, read_records
from simbench_tf.motifs import read_motifs
from simbench_tf.simulate.text.paper_format import read_paper_text

NAMES = ["=cmd|'/C_calc'!A0", "+1+1", "-2+3", "@SUM(1)"]
SEQUENCES = Sequences(np.array(["s0"]), np.zeros((1, 20), np.uint8), np.array([0]))

MEME = "MEME version 4\nALPHABET= ACGT\nMOTIF {}\nletter-probability matrix: w= 1 nsites= 20\n.25 .25 .25 .25\n"


def read_calls(path):
    return read_call_table(path, SEQUENCES)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("read", "text"),
    [
        (read_motifs, MEME.format("{} CTCF")),
        (read_motifs, MEME.format("MA1 {}")),
        (read_motifs, ">{}\nA [1 2]\nC [1 2]\nG [1 2]\nT [1 2]\n"),
        (open_genome, ">chr1\nACGT\n>{}\nACGT\n"),
        (read_paper_text, "{}\tACGTACGT\t\n"),
        (read_paper_text, "s0\tTTGATAAC\t{}_pos-True_2-6_9.5_1e-4_0.03_GATA\n"),
        (read_calls, "s0\t2\t8\tGATA\t3\t+\ns0\t2\t8\t{}\t3\t+\n"),
    ],
    ids=["MEME id", "MEME name", "JASPAR", "FASTA", "paper text id", "paper text motif", "BED calls"],
)
def test_readers_refuse_the_name(tmp_path, read, text, name):
    path = tmp_path / "given.txt"
    path.write_text(text.format(name))
    with pytest.raises(InputError, match="a spreadsheet would execute") as error:
        read(path)
    assert error.value.where.startswith(f"{path}:")
    path.write_text(text.format("fine"))
    read(path)


def test_an_index_that_was_there_lets_no_name_in(tmp_path):
    path = tmp_path / "g.fa"
    path.write_text(">=A1\nACGT\n")
    path.with_name("g.fa.fai").write_text("=A1\t4\t5\t4\t5\n")
    with pytest.raises(InputError, match="a spreadsheet would execute"):
        open_genome(path)


@pytest.mark.parametrize("name", NAMES)
def test_variants_of_such_names_are_rejected_one_by_one(tmp_path, name):
    path = tmp_path / "v.vcf"
    path.write_text(f"##fileformat=VCFv4.2\n#CHROM\n1\t5\t{name}\tA\tC\t.\t.\t.\n1\t6\trs1\tA\tC\t.\t.\t.\n")
    first, second = read_records(path)
    assert isinstance(first, Unreadable)
    assert "a spreadsheet would execute" in first.reason
    assert second.identifier == "rs1"


@pytest.mark.parametrize("name", NAMES)
def test_settings_refuse_the_name(name):
    assert not safe_name(name)  # tasks, models, and callers of others
    with pytest.raises(ValueError, match="a spreadsheet would execute"):
        Element(name=name, motif="CTCF")
