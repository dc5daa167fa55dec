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
# # What may I believe?
#
# You have a model of your own peaks, and a method that gives every base a score. Which of the bases that stand out
# are true sites? Nothing in your data says it. Here we ask a **twin**: sequences drawn from a grammar that was fitted
# to the peaks, whose sites are known, and a network like yours trained on them. What a score is worth there is what it
# is worth on the real peaks - as far as the twin is like them, and its network as good.
#
# The peaks are 260 regulatory regions in 2.3 Mb of human chromosome 2. A few minutes on two cores.

# %%
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyBigWig
from sklearn.metrics import roc_auc_score

import simbench_tf as sb
from simbench_tf import pipeline, plot
from simbench_tf.genome import fetch, open_genome
from simbench_tf.simulate.grammar import build_grammar, zero_order_background

N_DRAWN = int(os.environ.get("N_DRAWN", "20000"))
MAX_BATCHES = int(os.environ.get("MAX_BATCHES", "300"))
N_EXPLAINED = int(os.environ.get("N_EXPLAINED", "150"))
EPOCHS = int(os.environ.get("EPOCHS", "8"))
folder = Path(tempfile.mkdtemp())
examples = Path(__file__).parent if "__file__" in globals() else Path()
MIN_POS_HITS = int(os.environ.get("MIN_POS_HITS", "20"))  # of a motif that is fitted
WIDTH = 0.2


def simbench(*arguments: object) -> str:
    command = [sys.executable, "-m", "simbench_tf.cli", *map(str, arguments)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.replace(f"{folder}/", "")


# %% [markdown]
# As background we take a window without a peak every 1,000 bases, so that about one region in nine is a peak.

# %%
background = folder / "background.bed"
command = [sys.executable, str(examples / "make_chr2_background.py"), "--region-size", "1000", "--out", str(background)]
subprocess.run(command, check=True, capture_output=True)
regions = {"simulation.background": background, "simulation.min_pos_hits": MIN_POS_HITS}
config = sb.load_config(examples / "chr2.yaml", [f"{key}={value}" for key, value in regions.items()])
cut = folder / "regions"
pipeline.begin(config, cut)
pipeline.simulate(config, cut)
dataset = sb.open_dataset(cut / "dataset")
task = dataset.tasks[0]
print(f"{len(dataset.sequences)} regions, {(dataset.sequences[task] == 1).sum()} of them peaks")

# %% [markdown]
# ## 1. The twin
#
# One command fits a grammar to the regions of the train and valid splits, draws sequences, trains our kind of network
# on them, explains these by our methods, and scores all of it. `dynamics` keeps snapshots of the training: networks of
# every quality, from knowing nothing to the best. A true site is one that the grammar put in.

# %%
settings = {
    "models": f"[{{name: small, architecture: basset, width: {WIDTH}, padding: same}}]",
    "training.max_batches": MAX_BATCHES,
    "training.class_weight": "balanced",
    "attribution.n_sequences": N_EXPLAINED,
    "attribution.methods": "[{method: grad_x_input}, {method: saliency}]",
    "scoring.truth": "embedded",
    "dynamics": "{checkpoints: 6, n_sequences: 10}",
}
changed = [part for key, value in (settings | regions).items() for part in ("--set", f"{key}={value}")]
twin = folder / "twin"
print(simbench("twin", examples / "chr2.yaml", "--out", twin, "--n-sequences", N_DRAWN, *changed))

# %% [markdown]
# **What is there to be found?** What of a peak is a motif, and what is composition? The fit weighs both: classes of
# regions that differ in composition, each with kinds of stretches, and motifs. `odds_ratio` is what a class's weight is
# multiplied by in peaks; `enriched` is how many more sites of a motif a peak has than another region of its class.
# Far more motifs have hits more often in peaks than elsewhere: of the others these regions cannot tell (by two standard
# errors) that it is more than their composition brings.

# %%
grammar = sb.load_config(twin / "twin.yaml").simulation
log = pd.read_csv(cut / "dataset" / "motif_log.csv")
print(f"{log.kept.sum()} motifs have more hits in peaks; enriched in the twin, composition apart, are:")
for element in grammar.elements:
    if element.enriched:
        print(f"  {element.name}: {element.rate:.2g} a region, {element.enriched[task]:.2g} more in a peak")
ceiling = pd.read_csv(twin / "oracle" / "ceilings.csv").auroc[0]
print(f"a perfect model, which knows all of this, tells drawn peaks from others with an auROC of {ceiling:.2f}")
motifs = sb.load_motifs(grammar.motifs)
alone = [grammar.model_copy(update={"classes": [], "stretches": each.stretches}) for each in grammar.classes]
pd.DataFrame(
    {
        "GC": [sum(zero_order_background(build_grammar(each, motifs))[1:3]) for each in alone],
        "weight": [each.weight for each in grammar.classes],
        "odds_ratio": [each.odds_ratio.get(task, 1.0) for each in grammar.classes],
        "sites": [each.rate for each in grammar.classes],
    }
).round(2)

# %% [markdown]
# **Is it like the real regions?** `likeness.csv` holds it against those of the test split, which the fit has not seen.
# Below are the measures on which it lies outside the 95% interval of the real ones, and the classifiers: .5 is what
# nobody can tell apart. (Few held-out regions prove little: the intervals are wide.)

# %%
likeness = pd.read_csv(twin / "likeness.csv").set_index("measure")
classifiers = likeness.index.str.startswith("classifier")
outside = (likeness.twin < likeness.low) | (likeness.twin > likeness.high)
print(f"{(~classifiers & ~outside).sum()} of {(~classifiers).sum()} measures lie inside")
likeness[classifiers | outside].round(3)

# %% [markdown]
# ## 2. The real model
#
# Yours comes from wherever you trained it. Here it is the same architecture, trained on the real regions.

# %%
places = dataset.sequences  # where the regions lie; their letters are taken from the genome
x = sb.one_hot(fetch(open_genome(config.simulation.genome, cut), places[["chrom", "start", "end"]]))
labels, split = places[task].to_numpy(), places["split"].to_numpy()
keras.utils.set_random_seed(1)
model = sb.basset(seq_length=x.shape[1], n_tasks=1, width=WIDTH, padding="same")
model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
weight = {0: 1.0, 1: float((labels == 0).sum() / (labels == 1).sum())}
fitted = split != "test"
model.fit(x[fitted], labels[fitted], batch_size=100, epochs=EPOCHS, class_weight=weight, verbose=0)
auroc = roc_auc_score(labels[~fitted], model.predict(x[~fitted], verbose=0)[:, 0])
model.save(folder / "mine.keras")
print(f"{(labels == 1).sum()} peaks, test auROC {auroc:.2f}")

# %% [markdown]
# ## 3. What may be believed
#
# The twin's network whose auROC is nearest is taken, each method's scores are calibrated on it, and the real model's
# scores of the real peaks are read so. Each method gets a track (bigWig) and its called sites (BED).

# %%
genome, peaks = config.simulation.genome, next(iter(config.simulation.peaks.values()))
given = ["--model", folder / "mine.keras", "--bed", peaks, "--genome", genome]
print(simbench("believe", twin, *given, "--auroc", auroc, "--out", folder / "believed"))
stated = json.loads((folder / "believed" / "belief.json").read_text())
print(f"believed by: {stated['twin_model']}, auROC {stated['twin_auroc']:.2f}; mine {stated['model_auroc']:.2f}")
pd.read_csv(folder / "believed" / "belief.csv").round(3).T

# %% [markdown]
# `auprc` is the method's on the twin, in sequences that have a site, `chance_auprc` what is had there for nothing;
# `site_share` is the share of all bases that lie in sites; `n_calls` are sites that are likelier true than not. Where
# that is 0, nothing that the model says of single sites is: 260 peaks teach a network little. A map of the highest
# scores would not have said so. And look at what it rests on: whether the twin is like the peaks (above), and whether
# both auROCs are alike.
#
# ## 4. What is asked of you: the model's quality
#
# The same scores, read as if the model were as good as the best of the twin's networks (dotted). Where the lines part,
# it is the quality that decides what a score is worth. The orange line is the share of bases that lie in sites: what a
# base is believed of which nothing is known. Curves that stay near it say that scores are no news of sites: what these
# networks have learnt is composition, and the few sites that peaks have more of are too rare to learn from. Then
# nothing may be believed, however tall the highest scores. Draw more, train longer, and ask again.

# %%
simbench("believe", twin, *given, "--auroc", 0.99, "--out", folder / "too_good")
best = json.loads((folder / "too_good" / "belief.json").read_text())
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for ax, what in zip(axes, ("bases", "calls"), strict=True):
    for belief, style in ((stated, "-"), (best, ":")):
        for method, colour in zip(sorted(belief["methods"], key=lambda each: each["key"]), "CT", strict=False):
            label = f"{method['method']}, auROC {belief['twin_auroc']:.2f}"
            curve = method[what]
            ax.plot(curve["scores"], curve["probabilities"], style, color=plot.BASE_COLOURS[colour], label=label)
    ax.set(xlabel="score, in units of the mean size", title=what)
    ax.set_ylim(0, 1.4 * max(ax.get_ylim()[1], stated["methods"][0]["site_share"]))
    ax.spines[["top", "right"]].set_visible(False)
axes[0].axhline(stated["methods"][0]["site_share"], color="#c77d17", linewidth=1)
axes[0].set_ylabel("probability of a true one")
_ = axes[0].legend(frameon=False, fontsize=8, loc="upper left")
assert all(0 <= value <= 1 for method in stated["methods"] for value in method["bases"]["probabilities"])

# %% [markdown]
# ## 5. A peak
#
# The peak with the likeliest bases: what the method says, and what may be believed of it; the line as above.

# %%
first = stated["methods"][0]["key"]
length = x.shape[1]
places = pd.read_csv(peaks, sep="\t", header=None)
middle = places[1] + places[9]
with pyBigWig.open(str(folder / "believed" / f"{first}.bw")) as track:
    values = np.array(
        [track.values(c, m - length // 2, m + length // 2) for c, m in zip(places[0], middle, strict=True)]
    )
shown = int(np.nanmax(values, axis=1).argmax())
bases = fetch(
    open_genome(genome, cut),
    pd.DataFrame(
        {"chrom": [places[0][shown]], "start": middle[shown] - length // 2, "end": middle[shown] + length // 2}
    ),
)
scores = sb.attribute(model, sb.one_hot(bases), stated["methods"][0]["method"]).scores[0]
figure, axes = plt.subplots(2, 1, figsize=(11, 3.2), sharex=True, layout="constrained")
axes[0].bar(np.arange(length), scores, width=1, color=plot.BASE_COLOURS["C"])
axes[0].set_ylabel(first.split("@")[0])
axes[1].fill_between(np.arange(length), values[shown], step="mid", color=plot.BASE_COLOURS["A"])
axes[1].axhline(stated["methods"][0]["site_share"], color="#c77d17", linewidth=1)
axes[1].set(
    ylim=(0, None), ylabel="probability", xlabel=f"{places[0][shown]}:{middle[shown] - length // 2 + 1:,} and on"
)
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)

# %% [markdown]
# ## Further
#
# - [What may I believe?](../docs/what_may_i_believe.md): the page, how well it holds where the truth is known, and when
#   not to trust it.
# - [Your own peaks](your_own_peaks.ipynb): what became of these peaks in the first place.
