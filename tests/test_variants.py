"""Variant effects against a plain reading of the rule, and every kind of bad record."""

import gzip
import math
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from simbench_tf.dna import one_hot, reverse_complement
from simbench_tf.errors import InputError
from simbench_tf.models.kipoi import KipoiModel, prediction_only
from simbench_tf.variants import score_variants

LENGTH, HALF = 21, 10
HEADER = "##fileformat=VCFv4.3\n##contig=<ID=chr1>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


@pytest.fixture(scope="module")
def chromosome() -> str:
    return "".join(np.random.default_rng(3).choice(list("ACGT"), 300))


@pytest.fixture
def fasta(tmp_path, chromosome):
    path = tmp_path / "genome.fa"
    # half of it soft-masked: case plays no part
    path.write_text(f">chr1 of the test\n{chromosome[:150]}\n{chromosome[150:].lower()}\n>chr2\nACGT\n")
    return path


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(4)
    layers = [
        keras.Input((LENGTH, 4)),
        keras.layers.Conv1D(6, 5, activation="relu"),
        keras.layers.Flatten(),
        keras.layers.Dense(2, name="logits"),
        keras.layers.Activation("sigmoid"),
    ]
    return keras.Sequential(layers)


def vcf_of(tmp_path, *records: str):
    path = tmp_path / "in.vcf"
    path.write_text(HEADER + "".join(record.replace(" ", "\t") + "\n" for record in records))
    return path


def record(chromosome: str, position: int, n_ref: int, alt: str, identifier: str = ".") -> str:
    """A record at `position` (from 0) whose REF is what stands there."""
    return f"chr1 {position + 1} {identifier} {chromosome[position : position + n_ref]} {alt} . PASS DP=3"


def plain_windows(chromosome: str, position: int, n_ref: int, alt: str) -> tuple[str, str]:
    """The rule, said with whole chromosomes: write the allele into it and cut the window at the same start."""
    start = position - HALF
    changed = chromosome[:position] + alt + chromosome[position + n_ref :]
    return chromosome[start : start + LENGTH], changed[start : start + LENGTH]


def plain_measures(model, reference: str, alternative: str, both_strands: bool) -> np.ndarray:
    outputs, logits = [], []
    for window in (reference, alternative):
        strands = [window, reverse_complement(window)] if both_strands else [window]
        probabilities = np.asarray(model(one_hot(strands)), np.float64)
        outputs.append(probabilities.mean(axis=0))
        logits.append(np.log(probabilities / (1 - probabilities)).mean(axis=0))
    return np.stack([*outputs, outputs[1] - outputs[0], logits[1] - logits[0]], axis=1)


def other(base: str) -> str:
    return "ACGT"[("ACGT".index(base) + 1) % 4]


@pytest.mark.parametrize("both_strands", [False, True])
def test_alleles_score_as_the_rule_says(tmp_path, chromosome, fasta, model, both_strands):
    cases = [
        (100, 1, other(chromosome[100])),  # a substitution
        (160, 1, chromosome[160] + "GATTACA"),  # an insertion, in soft-masked DNA
        (120, 6, chromosome[120]),  # a deletion
        (130, 2, other(chromosome[130]) + "CC"),  # a replacement of another length
        (10, 1, other(chromosome[10])),  # the first window of the chromosome
        (289, 1, other(chromosome[289])),  # the last
        (200, 1, "T" * 11),  # as long as the right half of the window
    ]
    vcf = vcf_of(tmp_path, *(record(chromosome, *case) for case in cases))
    scores = score_variants(model, vcf, fasta, tmp_path / "o.tsv", task_names=["a", "b"], both_strands=both_strands)
    assert (scores.n_records, scores.n_scored, scores.rejected) == (7, 7, [])
    table = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    assert list(table)[:9] == ["chrom", "pos", "id", "ref", "alt", "a_ref", "a_alt", "a_diff", "a_logit_diff"]
    assert table["pos"].tolist() == [case[0] + 1 for case in cases]
    assert table["alt"].tolist() == [case[2] for case in cases]
    expected = [plain_measures(model, *plain_windows(chromosome, *case), both_strands) for case in cases]
    np.testing.assert_allclose(table.iloc[:, 5:].to_numpy(), np.reshape(expected, (7, 8)), atol=2e-6)
    assert (table["a_diff"].abs() > 5e-5).all()


def test_alleles_of_a_record_are_scored_one_by_one_and_stay_one_line_of_a_vcf(tmp_path, chromosome, fasta, model):
    snv, insertion = other(chromosome[100]), chromosome[100] + "A"
    records = [
        record(chromosome, 100, 1, f"{snv},<DEL>,{insertion}", "rs1"),
        "chr1 90 . N A . . .",  # rejected, and kept as it is
    ]
    vcf = vcf_of(tmp_path, *records)
    score_variants(model, vcf, fasta, tmp_path / "o.tsv", task_names=["a", "b"])
    table = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    assert table["alt"].tolist() == [snv, insertion]
    scores = score_variants(model, vcf, fasta, tmp_path / "o.vcf", task_names=["a", "K-562"])
    assert scores.n_scored == 2
    assert len(scores.rejected) == 2
    lines = (tmp_path / "o.vcf").read_text().splitlines()
    assert lines[-1] == records[1].replace(" ", "\t")
    assert (
        '##INFO=<ID=SB_K_562_DIFF,Number=A,Type=Float,Description="Alternative less reference output, task K-562">'
        in lines
    )
    fields = lines[-2].split("\t")
    assert fields[:5] == ["chr1", "101", "rs1", chromosome[100], f"{snv},<DEL>,{insertion}"]
    info = dict(part.split("=") for part in fields[7].split(";"))
    assert info["DP"] == "3"
    assert float(info["SB_a_REF"]) == pytest.approx(table["a_ref"][0], rel=1e-5)
    first, symbolic, last = info["SB_K_562_LOGIT_DIFF"].split(",")
    assert symbolic == "."
    assert [float(first), float(last)] == pytest.approx(table["b_logit_diff"].tolist(), rel=1e-5)


def test_a_gzipped_vcf_and_a_read_only_genome_folder_do(tmp_path, chromosome, fasta, model):
    folder = tmp_path / "genome"
    folder.mkdir()
    (folder / "g.fa").write_bytes(fasta.read_bytes())
    folder.chmod(0o555)
    packed = tmp_path / "in.vcf.gz"
    packed.write_bytes(gzip.compress((HEADER + record(chromosome, 50, 1, "N").replace(" ", "\t") + "\n").encode()))
    try:
        assert score_variants(model, packed, folder / "g.fa", tmp_path / "o.tsv").n_scored == 1
        assert [path.name for path in folder.iterdir()] == ["g.fa"]
    finally:
        folder.chmod(0o755)


def test_many_records_in_chunks_are_all_written_in_order(tmp_path, chromosome, fasta, model, monkeypatch):
    positions = list(range(20, 280))
    vcf = vcf_of(tmp_path, *(record(chromosome, at, 1, other(chromosome[at])) for at in positions))
    score_variants(model, vcf, fasta, tmp_path / "whole.tsv")
    monkeypatch.setattr("simbench_tf.variants.scoring._CHUNK_RECORDS", 7)
    done = []
    score_variants(model, vcf, fasta, tmp_path / "parts.tsv", progress=done.append)
    assert (sum(done), max(done)) == (260, 7)
    whole, parts = (pd.read_csv(tmp_path / f"{name}.tsv", sep="\t") for name in ("whole", "parts"))
    assert whole["pos"].tolist() == parts["pos"].tolist() == [at + 1 for at in positions]
    np.testing.assert_allclose(whole.iloc[:, 5:], parts.iloc[:, 5:], atol=2e-6)


def test_a_model_that_only_predicts_gives_log_odds_of_its_probabilities(tmp_path, chromosome, fasta):
    black_box = prediction_only(lambda x: x[:, :, 0].mean(axis=1), LENGTH, 1, "share of A")
    entry = KipoiModel("share", black_box, False, LENGTH, ["A"])
    position = chromosome.index("C", 50)
    score_variants(entry, vcf_of(tmp_path, record(chromosome, position, 1, "A")), fasta, tmp_path / "o.tsv")
    row = pd.read_csv(tmp_path / "o.tsv", sep="\t").iloc[0]
    share = chromosome[position - HALF : position + HALF + 1].count("A") / LENGTH
    more = share + 1 / LENGTH
    assert row["A_ref"] == pytest.approx(share, rel=1e-5)
    assert row["A_diff"] == pytest.approx(1 / LENGTH, rel=1e-4)
    assert row["A_logit_diff"] == pytest.approx(math.log(more / (1 - more)) - math.log(share / (1 - share)), rel=1e-4)


def test_a_saturated_probability_has_finite_log_odds(tmp_path, chromosome, fasta):
    all_or_nothing = prediction_only(lambda x: x[:, HALF, 0], LENGTH, 1, "A in the middle")
    position = chromosome.index("C", 50)
    vcf = vcf_of(tmp_path, record(chromosome, position, 1, "A"))
    score_variants(KipoiModel("middle", all_or_nothing, False, LENGTH, ["A"]), vcf, fasta, tmp_path / "o.tsv")
    row = pd.read_csv(tmp_path / "o.tsv", sep="\t").iloc[0]
    assert (row["A_ref"], row["A_alt"]) == (0, 1)
    assert row["A_logit_diff"] == pytest.approx(2 * math.log(1e7), rel=1e-3)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("chr1 101 . A", "has 4 tab-separated columns, a VCF record has at least 8"),
        ("chr1 0 . A C . . .", "POS must be a whole number from 1, not '0'"),
        ("chr1 ten . A C . . .", "POS must be a whole number from 1, not 'ten'"),
        ("1 101 . A C . . .", "chromosome 1 is not in the FASTA, which has chr1"),
        ("chrM 101 . A C . . .", "chromosome chrM is not in the FASTA"),
        ("chr1 10 . A C . . .", "the window of 21 bases leaves chr1 of 300"),
        ("chr1 291 . A C . . .", "the window of 21 bases leaves chr1 of 300"),
        ("chr1 101 . @ C . . .", "REF '@' is no DNA"),
        ("chr1 101 . AAAAAAAAAAAA C . . .", "REF of 12 bases does not fit the right half of a window of 21"),
        ("chr1 101 . WRONG C . . .", "REF 'WRONG' is no DNA"),
    ],
)
def test_a_bad_record_is_told_with_its_line_and_the_others_are_scored(tmp_path, chromosome, fasta, model, line, reason):
    vcf = vcf_of(tmp_path, record(chromosome, 100, 1, other(chromosome[100])), line)
    scores = score_variants(model, vcf, fasta, tmp_path / "o.tsv")
    assert (scores.n_records, scores.n_scored) == (2, 1)
    assert scores.rejected == [f"{vcf}:5: {reason}"]


def test_a_bad_allele_is_told_with_its_line(tmp_path, chromosome, fasta, model):
    ref = chromosome[100]
    alts = [other(ref), ".", "*", "<INS>", "A[chr1:5[", ref, "A" * 12]
    wrong = other(chromosome[140])
    vcf = vcf_of(
        tmp_path,
        record(chromosome, 100, 1, ",".join(alts)),
        f"chr1 141 . {wrong} {other(wrong)} . . .",
        record(chromosome, 285, 8, chromosome[285]),
    )
    scores = score_variants(model, vcf, fasta, tmp_path / "o.tsv")
    assert scores.n_scored == 1
    assert scores.rejected == [
        f"{vcf}:4: ALT '.' is no allele",
        f"{vcf}:4: ALT '*' is no allele",
        f"{vcf}:4: ALT '<INS>' is symbolic or no DNA",
        f"{vcf}:4: ALT 'A[CHR1:5[' is symbolic or no DNA",
        f"{vcf}:4: ALT {ref} is REF",
        f"{vcf}:4: ALT of 12 bases does not fit the right half of a window of 21",
        f"{vcf}:5: REF is {wrong}, the FASTA has {chromosome[140]}",
        f"{vcf}:6: the window leaves the chromosome when it is filled up for the deleted bases",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "has no #CHROM line"),
        ("chr1\t101\t.\tA\tC\t.\t.\t.\n", ":1: a record before the #CHROM line"),
        (HEADER, "holds no record"),
        (HEADER + "7\t101\t.\tA\tC\t.\t.\t.\n", ":4: chromosome 7 is not in the FASTA; and none of 1 records"),
    ],
)
def test_a_file_without_anything_to_score_is_an_error_and_leaves_nothing(tmp_path, fasta, model, content, message):
    vcf = tmp_path / "bad.vcf"
    vcf.write_text(content)
    with pytest.raises(InputError, match=message.replace("(", "\\(")):
        score_variants(model, vcf, fasta, tmp_path / "out" / "o.tsv")
    assert not list((tmp_path).glob("out/*"))


def test_missing_and_damaged_files_and_a_wrong_output_name(tmp_path, chromosome, fasta, model):
    vcf = vcf_of(tmp_path, record(chromosome, 100, 1, other(chromosome[100])))
    with pytest.raises(InputError, match=r"none\.vcf: cannot be read: No such file"):
        score_variants(model, tmp_path / "none.vcf", fasta, tmp_path / "o.tsv")
    with pytest.raises(InputError, match="no such FASTA file"):
        score_variants(model, vcf, tmp_path / "none.fa", tmp_path / "o.tsv")
    with pytest.raises(InputError, match=r"must end in \.tsv or \.vcf"):
        score_variants(model, vcf, fasta, tmp_path / "o.csv")
    with pytest.raises(InputError, match="is no Kipoi entry"):
        score_variants(tmp_path / "no_entry", vcf, fasta, tmp_path / "o.tsv")
    cut = tmp_path / "cut.vcf.gz"
    cut.write_bytes(gzip.compress(vcf.read_bytes())[:-9])
    with pytest.raises(InputError, match="the gzip file is cut short"):
        score_variants(model, cut, fasta, tmp_path / "o.tsv")


def dense(activation, bias: float = 3.0):
    keras.utils.set_random_seed(5)
    bias_initializer = keras.initializers.Constant(bias)
    last = keras.layers.Dense(2, activation=activation, bias_initializer=bias_initializer)
    return keras.Sequential([keras.Input((LENGTH, 4)), keras.layers.Flatten(), last])


@pytest.mark.parametrize("activation", ["softplus", "tanh", "relu", "exponential", None])
def test_outputs_that_are_no_probabilities_have_no_logits(tmp_path, chromosome, fasta, activation, caplog):
    # tanh with this bias lies between 0 and 1, and is no probability all the same
    if activation is None:  # a model that shows no layers
        weights = [weight.numpy() for weight in dense("softplus").weights]
        softplus = lambda x: np.log1p(np.exp(x.reshape(len(x), -1) @ weights[0] + weights[1]))  # noqa: E731
        black_box = prediction_only(softplus, LENGTH, 2, "softplus")
        model = KipoiModel("softplus", black_box, False, LENGTH, ["0", "1"])
    else:
        model = dense(activation)
    vcf = vcf_of(tmp_path, record(chromosome, 100, 1, other(chromosome[100])))
    for suffix in ("tsv", "vcf"):
        caplog.clear()
        assert score_variants(model, vcf, fasta, tmp_path / f"o.{suffix}").n_scored == 1
        assert caplog.messages == ["the model's outputs are no probabilities, so differences of logits are left empty"]
    heads, values = (line.split("\t") for line in (tmp_path / "o.tsv").read_text().splitlines())
    row = dict(zip(heads, values, strict=True))
    assert (row["0_logit_diff"], row["1_logit_diff"]) == ("", "")
    reference, changed = (one_hot(window) for window in plain_windows(chromosome, 100, 1, other(chromosome[100])))
    outputs = dense(activation or "softplus")
    difference = (outputs(changed) - outputs(reference)).numpy()[0]
    np.testing.assert_allclose([float(row["0_diff"]), float(row["1_diff"])], difference, rtol=1e-5, atol=1e-6)
    assert ";SB_0_LOGIT_DIFF=.;" in (tmp_path / "o.vcf").read_text()


def test_a_softmax_gives_log_odds(tmp_path, chromosome, fasta):
    model = dense("softmax", bias=0.0)
    score_variants(
        model, vcf_of(tmp_path, record(chromosome, 100, 1, other(chromosome[100]))), fasta, tmp_path / "o.tsv"
    )
    measures = plain_measures(model, *plain_windows(chromosome, 100, 1, other(chromosome[100])), False)
    table = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    np.testing.assert_allclose(table.iloc[0, 5:].to_numpy(float), measures.ravel(), rtol=1e-4, atol=1e-6)


def of_another_form(kind: str):
    start = keras.Input((LENGTH, 4))
    flat = keras.layers.Flatten()(start)
    first, second = (keras.layers.Dense(1, activation="sigmoid")(flat) for _ in range(2))
    return {
        "two outputs": lambda: keras.Model(start, [first, second]),
        "two inputs": lambda: keras.Model([start, keras.Input((3,))], first),
        "profile": lambda: keras.Model(start, keras.layers.Dense(1, activation="sigmoid")(start)),
        "one number": lambda: keras.Model(start, keras.layers.Reshape(())(first)),
        "subclassed": lambda: prediction_only(lambda x: x[:, 0, 0], LENGTH, 1, "first"),
    }[kind]()


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("two outputs", "model: has 1 inputs and 2 outputs; wrap it"),
        ("two inputs", "model: has 2 inputs and 1 outputs; wrap it"),
        ("profile", r"model: has output of shape \(None, 21, 1\); reduce it to \(N, number of outputs\) in a wrapper"),
        ("one number", r"model: has output of shape \(None,\); reduce it"),
        ("subclassed", "model: shows no layers"),
    ],
)
def test_models_of_other_forms_are_refused(tmp_path, chromosome, fasta, kind, said):
    vcf = vcf_of(tmp_path, record(chromosome, 100, 1, other(chromosome[100])))
    with pytest.raises(InputError, match=said):
        score_variants(of_another_form(kind), vcf, fasta, tmp_path / "o.tsv")


def test_names_are_as_many_as_outputs(tmp_path, chromosome, fasta, model):
    vcf = vcf_of(tmp_path, record(chromosome, 100, 1, other(chromosome[100])))
    with pytest.raises(InputError, match="task names: are 3, the model has 2 outputs; name each output"):
        score_variants(model, vcf, fasta, tmp_path / "o.tsv", task_names=["a", "b", "c"])


@pytest.mark.parametrize("kind", [str, Path])
def test_a_keras_file_scores_as_its_model(tmp_path, chromosome, fasta, model, kind):
    vcf = vcf_of(tmp_path, record(chromosome, 100, 1, other(chromosome[100])))
    model.save(tmp_path / "m.keras")
    score_variants(model, vcf, fasta, tmp_path / "o.tsv")
    score_variants(kind(tmp_path / "m.keras"), vcf, fasta, tmp_path / "of_file.tsv")
    assert (tmp_path / "of_file.tsv").read_text() == (tmp_path / "o.tsv").read_text()
    with pytest.raises(InputError, match=r"none\.keras: no such model file; check the path"):
        score_variants(kind(tmp_path / "none.keras"), vcf, fasta, tmp_path / "o.tsv")


@pytest.mark.parametrize(
    ("code", "ref", "fits"),
    [
        *[("R", "A", True), ("R", "G", False), ("R", "N", True), ("y", "C", True), ("M", "C", False), ("K", "G", True)],
        *[("B", "C", True), ("V", "A", True), ("s", "C", True), ("W", "A", True), ("N", "A", False), ("N", "N", True)],
    ],
)
def test_an_iupac_code_of_the_genome_may_be_reduced_in_ref(tmp_path, chromosome, model, code, ref, fits):
    fasta = tmp_path / "iupac.fa"
    fasta.write_text(f">chr1\n{chromosome[:100]}{code}{chromosome[101:]}\n")
    vcf = vcf_of(tmp_path, f"chr1 101 . {ref} T . . .")
    if not fits:
        with pytest.raises(InputError, match=f"REF is {ref}, the FASTA has {code.upper()}; and none"):
            score_variants(model, vcf, fasta, tmp_path / "o.tsv")
        return
    score_variants(model, vcf, fasta, tmp_path / "o.tsv")
    # the model sees the allele that REF names
    seen = chromosome[:100] + ref + chromosome[101:]
    expected = plain_measures(model, *plain_windows(seen, 100, 1, "T"), False)
    table = pd.read_csv(tmp_path / "o.tsv", sep="\t")
    np.testing.assert_allclose(table.iloc[0, 5:].to_numpy(float), expected.ravel(), atol=2e-6)


def test_a_damaged_gzip_file_is_refused_and_leaves_nothing(tmp_path, chromosome, fasta, model):
    rng = np.random.default_rng(1)
    positions = rng.integers(20, 280, 4_000)
    records = [record(chromosome, at, 1, other(chromosome[at]), f"rs{rng.integers(1 << 30)}") for at in positions]
    whole = bytearray(gzip.compress(vcf_of(tmp_path, *records).read_bytes()))
    middle = len(whole) // 2
    whole[middle : middle + 60] = bytes(60)
    damaged = tmp_path / "damaged.vcf.gz"
    damaged.write_bytes(whole)
    with pytest.raises(InputError, match=r"damaged\.vcf\.gz:\d+: the gzip file is cut short or damaged; copy"):
        score_variants(model, damaged, fasta, tmp_path / "o.tsv")
    assert not (tmp_path / "o.tsv").exists()


def test_a_byte_order_mark_and_bytes_of_another_encoding_are_kept_as_they_are(tmp_path, chromosome, fasta, model):
    text = HEADER + record(chromosome, 100, 1, other(chromosome[100]), "caf\xe9").replace(" ", "\t") + "\n"
    text += "chr\xe9\t5\t.\tA\tC\t.\t.\t.\n"
    vcf = tmp_path / "in.vcf"
    vcf.write_bytes(b"\xef\xbb\xbf" + text.encode("latin-1"))
    for suffix in ("tsv", "vcf"):
        scores = score_variants(model, vcf, fasta, tmp_path / f"o.{suffix}")
        assert scores.n_scored == 1
        assert scores.rejected == [f"{vcf}:5: chromosome chr\\udce9 is not in the FASTA"]
        assert b"\tcaf\xe9\t" in (tmp_path / f"o.{suffix}").read_bytes()
    assert (tmp_path / "o.vcf").read_bytes().startswith(b"##fileformat")
