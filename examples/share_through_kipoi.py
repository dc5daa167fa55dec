# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Share a model through Kipoi
#
# Kipoi is a zoo of trained models for genomics: whoever has an entry's folder can predict with it from a FASTA and a
# BED file, without knowing how it was built. We write such an entry, let the real `kipoi` program test it and predict
# with it, and score variants. Half a minute on two cores.

# %%
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import simbench_tf as sb
from simbench_tf import pipeline, plot

N_SEQUENCES = int(os.environ.get("N_SEQUENCES", "1000"))
folder = Path(tempfile.mkdtemp())
examples = Path(__file__).parent if "__file__" in globals() else Path()

# %% [markdown]
# ## 1. A trained model
#
# A small Basset, trained on the `five_lines` preset; it lies in `model_zoo`. Yours would come from `simbench run`, or
# from anywhere else: a Keras model that reads one-hot DNA.

# %%
network = keras.saving.load_model(
    examples / ".." / "model_zoo" / "five_lines_basset" / "model_files" / "model.keras", compile=False
)
config = sb.load_config("five_lines", [f"simulation.n_sequences={N_SEQUENCES}", "seed=99"])  # sequences it never saw
pipeline.begin(config, folder / "run")
pipeline.simulate(config, folder / "run")
dataset = sb.open_dataset(folder / "run" / "dataset")
network.input_shape, network.output_shape, dataset.tasks

# %% [markdown]
# ## 2. Write the entry
#
# Say who made it, from what and how: the zoo shows it. The example sequences go into the entry, so that anybody can see
# whether the model still answers as it did.

# %%
entry = folder / "five_lines"
sb.export_kipoi(
    network,
    entry,
    task_names=dataset.tasks,
    sequences=dataset.bases("train")[:20],
    info=sb.EntryInfo(
        doc="A small Basset: accessibility of simulated DNA in five cell lines.",
        authors=("A. Author",),
        trained_on="The five_lines preset of simbench_tf.",
        training_procedure="Adam, 20,000 batches of 100 fresh sequences.",
    ),
)
print("\n".join(sorted(path.relative_to(entry).as_posix() for path in entry.rglob("*") if path.is_file())))

# %% [markdown]
# A model of a run needs no Python, and its entry tells how it was made:
# `simbench export runs/five_lines --model basset --out five_lines`.
#
# ## 3. Let kipoi test it
#
# The real program, as a stranger would call it. It keeps its settings in the home folder; we give it an empty one.

# %%
bin_folder = Path(sys.executable).parent
environment = {**os.environ, "HOME": str(folder), "TF_CPP_MIN_LOG_LEVEL": "2"}


def shell(*command):
    """Run a command where the entry lies; what it printed."""
    program = bin_folder / command[0]
    ran = subprocess.run(
        [program, *command[1:]], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return re.sub(r"\x1b\[[\d;]*m", "", ran.stdout)  # without colours


said = shell("kipoi", "test", entry.name, "--source=dir", "-e", f"{entry.name}/example_files/predictions.h5")
assert "All predictions match" in said
print(said.strip().splitlines()[-1])

# %% [markdown]
# ## 4. A genome and some intervals
#
# A chromosome of our own: the test sequences one behind the other. The intervals lie on both strands in turn; on the
# minus strand kipoi reads the reverse complement.

# %%
texts = dataset.sequences[dataset.sequences.split == "test"].sequence.tolist()
chromosome = "".join(texts)
(folder / "genome.fa").write_text(f">chrS\n{chromosome}\n")
strands = ["+-"[number % 2] for number in range(len(texts))]
lines = [f"chrS\t{400 * n}\t{400 * n + 400}\tsequence{n}\t0\t{strand}\n" for n, strand in enumerate(strands)]
(folder / "intervals.bed").write_text("".join(lines))
print("".join(lines[:3]))

# %%
arguments = json.dumps({"fasta_file": "genome.fa", "intervals_file": "intervals.bed"})
shell("kipoi", "predict", entry.name, "--source=dir", "--dataloader_args", arguments, "-m", "-o", "predictions.tsv")
predictions = pd.read_csv(folder / "predictions.tsv", sep="\t")
predictions.filter(regex="chr|start|strand|preds").head(3).round(4)

# %% [markdown]
# ## 5. Is it still the same model?
#
# The network in this process, on the same sequences, against what came out of FASTA, BED and another process:

# %%
bases = dataset.bases("test")
minus = np.array(strands) == "-"
bases[minus] = sb.reverse_complement(bases[minus])
own = network.predict(sb.one_hot(bases), verbose=0)
through_kipoi = predictions[[f"preds/{number}" for number in range(len(dataset.tasks))]].to_numpy()
largest = float(np.abs(own - through_kipoi).max())
print(f"largest difference of {own.size} predictions: {largest:.0e}")
assert largest < 1e-5

# %%
labels = dataset.labels("test")
figure, axes = plt.subplots(1, 5, figsize=(15, 3.3), sharex=True, sharey=True, layout="constrained")
for ax, task, x, y, label in zip(axes, dataset.tasks, own.T, through_kipoi.T, labels.T, strict=True):
    ax.plot([0, 1], [0, 1], color="#b4bcc5", linewidth=1, zorder=0)
    for value, colour, name in ((0, "#8f99a4", "negatives"), (1, "#12928a", "positives")):
        ax.scatter(x[label == value], y[label == value], s=14, alpha=0.7, linewidth=0, color=colour, label=name)
    ax.set(title=task, xlabel="Keras model", aspect="equal")
    ax.spines[["top", "right"]].set_visible(False)
axes[0].set_ylabel("kipoi predict")
_ = axes[0].legend(frameon=False)
# %% [markdown]
# ## 6. Variants
#
# What would a mutation do? We take the HepG2 positive that the model is surest of and write every single-base change of
# 80 bases around one of its liver motifs into a VCF.

# %%
hepg2 = dataset.tasks.index("HepG2")
liver = {element for element, tasks in dataset.notes["elements"].items() if "HepG2" in tasks}
surest_first = [n for n in np.argsort(-own[:, hepg2]) if labels[n, hepg2] and 0 < n < len(texts) - 1]
sites = dataset.sites[dataset.sites.element.isin(liver)]
number = next(n for n in surest_first if (sites.seq_id == dataset.seq_ids("test")[n]).any())
site = sites[sites.seq_id == dataset.seq_ids("test")[number]].sort_values("score").iloc[-1]
middle = 400 * number + (site.start + site.end) // 2
window = range(middle - 40, middle + 40)
others = {base: ",".join(other for other in "ACGT" if other != base) for base in "ACGT"}
references = [(position, chromosome[position]) for position in window]
records = [f"chrS\t{position + 1}\t.\t{base}\t{others[base]}\t.\t.\t.\n" for position, base in references]
header = "##fileformat=VCFv4.3\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
(folder / "variants.vcf").write_text(header + "".join(records))
print(header + "".join(records[:2]))

# %%
said = shell(
    "simbench", "variants", entry.name, "--vcf", "variants.vcf", "--fasta", "genome.fa", "--out", "effects.tsv"
)
effects = pd.read_csv(folder / "effects.tsv", sep="\t")
assert len(effects) == 240
print(said)
worst = effects.sort_values("HepG2_logit_diff").head(3)
worst[["chrom", "pos", "ref", "alt", "HepG2_ref", "HepG2_alt", "HepG2_logit_diff"]].round(3)

# %% [markdown]
# `HepG2_logit_diff` is the change of the log odds. Drawn for the whole window: the taller a letter, the more is lost
# when it is replaced (mean of three changes).

# %%
fall = -effects.groupby("pos").HepG2_logit_diff.mean().to_numpy()
heights = sb.one_hot(chromosome[window.start : window.stop])[0] * fall[:, None]
near = dataset.sites[dataset.sites.seq_id == site.seq_id].assign(counted=lambda table: table.element.isin(liver))
near[["start", "end"]] += 400 * number - window.start
figure, ax = plt.subplots(figsize=(12, 2.2), layout="constrained")
plot.logo(heights, sites=near, ax=ax)
ax.set_xlabel(f"bases from chrS:{window.start:,}")
in_site = np.zeros(80, bool)
in_site[max(0, near.start[site.name]) : near.end[site.name]] = True
assert N_SEQUENCES < 1000 or fall[in_site].mean() > fall[~in_site].mean()

# %% [markdown]
# ## 7. Put it into the zoo
#
# Weights belong on a server, not into git. `simbench export ... --url https://zenodo.org/record/NUMBER/files` names the
# place and the checksum in the entry and says which file to upload; `--float16` halves it and tells the largest change
# of a prediction; `--group` makes one entry of several models. Then send the folder to
# [kipoi/models](https://github.com/kipoi/models) as a pull request, and everybody can say
# `kipoi predict YOUR_GROUP/five_lines`.
#
# The other way round, a model of the zoo is explained and scored by `simbench run` with
# `models: [{name: theirs, kipoi: SOURCE/NAME}]`.
