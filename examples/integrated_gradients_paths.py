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
# # Two paths of integrated gradients
#
# Integrated gradients walks from a reference to the sequence and takes the mean of the gradients on the way. The usual
# way is a straight line. On it every base is a blend of two letters, which the network has never seen. The other way
# changes one letter after another, so that each point is a real sequence. Here are both, with what they cost and what
# they find. A minute or two on two cores.

# %%
import os
import tempfile
from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import tensorflow as tf

import simbench_tf as sb
from simbench_tf import pipeline, plot

tf.get_logger().setLevel("ERROR")  # methods are compiled anew for each setting, which TensorFlow would warn of

N_SEQUENCES = int(os.environ.get("N_SEQUENCES", "2000"))  # to simulate
N_EXPLAINED = int(os.environ.get("N_EXPLAINED", "20"))
N_REFERENCES = int(os.environ.get("N_REFERENCES", "5"))
MOST_STEPS = int(os.environ.get("MOST_STEPS", "100"))
MOST_REFERENCES = int(os.environ.get("MOST_REFERENCES", "40"))

# %% [markdown]
# ## 1. A model and a sequence
#
# The model comes with the package's sources: a small Basset, trained on simulated DNA of five cell lines. The sequences
# are drawn from the same grammar, and from the test split, which it has not seen.

# %%
zoo = next(folder / "model_zoo" for folder in (Path.cwd(), *Path.cwd().parents) if (folder / "model_zoo").is_dir())
model = keras.models.load_model(zoo / "five_lines_basset" / "model_files" / "model.keras")

run = Path(tempfile.mkdtemp()) / "paths"
config = sb.load_config("five_lines", [f"simulation.n_sequences={N_SEQUENCES}"])
pipeline.begin(config, run)
pipeline.simulate(config, run)
dataset = sb.open_dataset(run / "dataset")

task = "HepG2"
target = dataset.tasks.index(task)
positives = dataset.labels("test")[:, target] == 1
truth = dataset.mask("test", task=task)[positives]
one_hot = sb.one_hot(dataset.bases("test")[positives])
# those the model finds most open
probability = model.predict(one_hot, verbose=0)[:, target]
best = np.argsort(-probability)[:N_EXPLAINED]
one_hot, truth = one_hot[best], truth[best]
ids = dataset.seq_ids("test")[positives][best]
print(f"{len(best)} sequences, predicted {probability[best].min():.2f} to {probability[best].max():.2f}")

# %% [markdown]
# One of them to look at: the one with the most bases in motifs of HepG2. Its reference is a dinucleotide shuffle of
# itself. We look at the 40 bases that hold the most of these motifs.

# %%
shown = int(truth.sum(axis=1).argmax())
x = one_hot[shown]
sites = dataset.sites[dataset.sites.seq_id == ids[shown]]
bases = x.argmax(axis=1).astype(np.uint8)
references = sb.one_hot(sb.dinucleotide_shuffle(bases[None], n_shuffles=N_REFERENCES, random_state=0)[0])
WIDTH = 40
start = int(np.convolve(truth[shown], np.ones(WIDTH), mode="valid").argmax())
window = slice(start, start + WIDTH)
sites[["tf", "start", "end", "strand"]]

# %% [markdown]
# ## 2. The points of each path
#
# The way is cut into steps, and the gradient taken in the middle of each, at $\alpha$.
#
# - **linear**: $\mathbf{x}_0 + \alpha (\mathbf{x} - \mathbf{x}_0)$
# - **shuffle**: each position draws one number $u$ between 0 and 1, and shows the sequence's letter once $u < \alpha$.
#   So a base keeps its shuffled letter with probability $1 - \alpha$, and none changes back.


# %%
def middles(n_steps):
    return (np.arange(n_steps) + 0.5) / n_steps


def linear_path(x, reference, n_steps):
    """Points of the straight way, (n_steps, L, 4)."""
    alpha = middles(n_steps)[:, None, None]
    return (reference + alpha * (x - reference)).astype(np.float32)


def shuffle_path(x, reference, n_steps, u):
    """Points of the way of real sequences, (n_steps, L, 4); u (L,) says when each base changes."""
    changed = u < middles(n_steps)[:, None]
    return np.where(changed[:, :, None], x, reference)


u = np.random.default_rng(0).random((N_REFERENCES, len(x)))
points = {
    "linear, from zeros": linear_path(x, np.zeros_like(x), 20),
    "linear, from a shuffle": linear_path(x, references[0], 20),
    "shuffle": shuffle_path(x, references[0], 20, u[0]),
}
assert (points["shuffle"].sum(axis=2) == 1).all()
assert np.isin(points["shuffle"], (0, 1)).all()
colours = np.array([plt.matplotlib.colors.to_rgb(plot.BASE_COLOURS[base]) for base in "ACGT"])


def in_colour(points):
    """A base has its colour, a blend of bases a blend of colours, nothing is white."""
    return points @ colours + (1 - points.sum(axis=-1, keepdims=True))


# %%
figure, axes = plt.subplots(3, 1, figsize=(10, 9), layout="constrained")
for ax, (name, path) in zip(axes, points.items(), strict=True):
    ax.imshow(
        in_colour(path[:, window]),
        origin="lower", extent=(start, start + WIDTH, 0, 1), aspect="auto", interpolation="nearest",
    )  # fmt: skip
    ends = {"top": x[window]} if "zeros" in name else {"top": x[window], "bottom": references[0][window]}
    for end, letters in ends.items():
        for place, base in enumerate(letters.argmax(axis=1)):
            ax.annotate(
                "ACGT"[base],
                (start + place + 0.5, end == "top"),
                xytext=(0, 3 if end == "top" else -3),
                textcoords="offset points",
                ha="center",
                va="bottom" if end == "top" else "top",
                fontsize=9,
                color=colours[base],
                weight="bold",
                annotation_clip=False,
            )
    ax.set_title(name, loc="left", pad=16)
    ax.set(ylabel="α", xticks=[], yticks=[0, 0.5, 1])

# %% [markdown]
# Each row is a point where the gradient is taken, the reference at the foot, the sequence at the top. Only the last
# picture is made of pure colours.
#
# What does the network say on the way? The logit, from each reference to the sequence:

# %%
logits = keras.Model(model.inputs, model.layers[-1].input)
fine = 100


def along(paths):
    """Logits at each point of several paths, (R, n_steps)."""
    points = np.concatenate(paths)
    return logits.predict(points, batch_size=256, verbose=0)[:, target].reshape(len(paths), -1)


straight = along([linear_path(x, reference, fine) for reference in references])
by_letters = along([shuffle_path(x, reference, fine, own) for reference, own in zip(references, u, strict=True)])
figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), sharey=True, layout="constrained")
for ax, name, lines, colour in (
    (axes[0], "linear", straight, "#12928a"),
    (axes[1], "shuffle", by_letters, "#8a6fc4"),
):
    ax.plot(middles(fine), lines.T, color=colour, alpha=0.5, linewidth=1)
    ax.plot(middles(fine), lines.mean(axis=0), color=colour, linewidth=2.5, label=f"mean of {N_REFERENCES} references")
    ax.set(title=f"{name} path", xlabel="α")
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, loc="upper left")
axes[0].set_ylabel(f"logit of {task}")
halfway = straight.mean(axis=0)[[0, -1]].mean()
risen = {
    name: middles(fine)[(lines.mean(axis=0) > halfway).argmax()]
    for name, lines in (("straight", straight), ("by letters", by_letters))
}
print({name: f"half of the rise by α = {alpha:.2f}" for name, alpha in risen.items()})
assert risen["straight"] < 0.5 < risen["by letters"]

# %% [markdown]
# The straight way is smooth and rises early: motifs in faint letters, under those of the shuffle, are much of what the
# network answers to. The way of sequences keeps to what it was trained on: it goes up and down in steps, where a letter
# completes a motif or breaks one, and rises late, when whole motifs are there.
#
# ## 3. By hand, and with the package
#
# The mean gradient over the points, times the difference from the reference, mean over the references: that is all of
# it.


# %%
def gradients(points):
    points = tf.constant(points)
    with tf.GradientTape() as tape:
        tape.watch(points)
        output = tf.reduce_sum(logits(points, training=False)[:, target])
    return tape.gradient(output, points).numpy()


by_hand = np.mean(
    [gradients(linear_path(x, reference, 20)).mean(axis=0) * (x - reference) for reference in references], axis=0
)
a = sb.attribute(model, x[None], "integrated_gradients", target=target, references=references, n_steps=20)
np.testing.assert_allclose(a.contributions[0], by_hand, atol=1e-4 * abs(by_hand).max())

settings = {
    "gradient x input": {"method": "grad_x_input"},
    "linear, from zeros": {"method": "integrated_gradients", "references": "zeros"},
    "linear, from shuffles": {"method": "integrated_gradients", "references": f"shuffle:{N_REFERENCES}"},
    "shuffle path": {"method": "integrated_gradients", "references": f"shuffle:{N_REFERENCES}", "path": "shuffle"},
}
found = {name: sb.attribute(model, one_hot, target=target, **each) for name, each in settings.items()}
counted = sites.assign(
    counted=[truth[shown, start:end].all() for start, end in zip(sites.start, sites.end, strict=True)]
)
figure = plot.attribution_panels(x, {name: a.scores[shown] for name, a in found.items()}, counted, width=WIDTH)
figure

# %% [markdown]
# Left the whole sequence as bars, right the 40 bases as a logo. Shaded are the motifs that matter for HepG2; those in
# dotted lines stand there, but are no truth for it. Over all sequences explained:

# %%
scored = {name: sb.score_attributions(a.scores, truth) for name, a in found.items()}
table = pd.DataFrame({name: scores.mean() for name, scores in scored.items()}).T
table["auprc_se"] = {name: scores.auprc.sem() for name, scores in scored.items()}  # of the mean over sequences
table[["auroc", "auprc", "auprc_se", "mass_fraction", "chance_auprc"]].round(3)

# %% [markdown]
# How good is that? The sequences were drawn, so the exact posterior of the generator can be worked out. What it reaches
# is the ceiling: it knows all but the draw.

# %%
pipeline.oracle(config, run)
ceiling = pd.read_csv(run / "oracle" / "ceilings.csv").set_index("task").loc[task, "attribution_auprc"]
print(f"ceiling: auPRC {ceiling:.3f}")

# %% [markdown]
# ## 4. How many steps?
#
# On the straight path contributions add up to the change of the output, if there are enough steps. The difference is
# the completeness delta, which `attribute` hands out. On the path of sequences it need *not* vanish: the gradient at a
# sequence says where the output would go with a little of another letter, and a letter does not change by a little.

# %%
all_steps = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500) if n <= MOST_STEPS]
rows = []
for path in ("linear", "shuffle"):
    for n_steps in all_steps:
        a = sb.attribute(
            model, one_hot, "integrated_gradients", target=target,
            references=f"shuffle:{N_REFERENCES}", n_steps=n_steps, path=path,
        )  # fmt: skip
        auprc = sb.score_attributions(a.scores, truth).auprc
        change = abs(a.scores.sum(axis=1) - a.convergence_delta).mean()
        rows.append(
            {
                "path": path,
                "n_steps": n_steps,
                "|delta|": abs(a.convergence_delta).mean(),
                "change": change,
                "auprc": auprc.mean(),
                "auprc_se": auprc.sem(),
            }
        )
steps = pd.DataFrame(rows).set_index(["path", "n_steps"])
steps["|delta| / change"] = steps["|delta|"] / steps["change"]
steps.round(4)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for path, colour in (("linear", "#12928a"), ("shuffle", "#8a6fc4")):
    part = steps.loc[path]
    left.plot(part.index, part["|delta| / change"], marker="o", color=colour, label=path)
    right.errorbar(part.index, part["auprc"], part["auprc_se"], marker="o", color=colour, label=path, capsize=2)
right.axhline(ceiling, color="#6b7580", linestyle="--", linewidth=1, label="ceiling")
left.set(xscale="log", yscale="log", xlabel="n_steps", ylabel="mean |delta|, share of the mean change")
right.set(xscale="log", xlabel="n_steps", ylabel="auPRC against the true motifs", ylim=(0, 1))
for ax in (left, right):
    ax.set_xticks(all_steps, labels=all_steps)
    ax.minorticks_off()
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
linear, shuffle = (steps.loc[path, "|delta|"] for path in ("linear", "shuffle"))
assert linear.iloc[-1] < 0.2 * linear.iloc[0]
assert shuffle.iloc[-1] > linear.iloc[-1]

# %% [markdown]
# The straight path is complete to a few percent with 10 or 20 steps, and the scores settle sooner still. The path of
# sequences stays where it is, steps or not. And it seems to find fewer motifs, by more than the errors (bars: standard
# error of the mean over sequences), with both far below the ceiling. Is that so?
#
# ## 5. How many references?
#
# A shuffle is one of many, and on the path of sequences the order in which letters change is one of many, too. Both are
# chance, which only more references average out.

# %%
numbers = [n for n in (1, 2, 5, 10, 20, 40) if n <= MOST_REFERENCES]


def auprc_with(n_references, path):
    """auPRC of each sequence."""
    a = sb.attribute(
        model, one_hot, "integrated_gradients", target=target,
        references=f"shuffle:{n_references}", n_steps=10, path=path,
    )  # fmt: skip
    return sb.score_attributions(a.scores, truth).auprc


each = {(path, n): auprc_with(n, path) for path in ("linear", "shuffle") for n in numbers}
quality, errors = (
    pd.Series({key: measure(values) for key, values in each.items()}).unstack(0).rename_axis("n_references")
    for measure in (pd.Series.mean, pd.Series.sem)
)
assert (quality.iloc[-1] > quality.iloc[0]).all()
if MOST_REFERENCES >= 40:
    assert (quality.loc[1] < table.loc["gradient x input", "auprc"]).all()
    assert (quality.loc[40] > table.loc["gradient x input", "auprc"]).all()
quality.T.round(3)

# %%
figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
for path, colour in (("linear", "#12928a"), ("shuffle", "#8a6fc4")):
    ax.errorbar(quality.index, quality[path], errors[path], marker="o", color=colour, label=f"{path} path", capsize=2)
ax.axhline(ceiling, color="#6b7580", linestyle="--", linewidth=1, label="ceiling")
ax.axhline(table.loc["gradient x input", "auprc"], color="#c77d17", linestyle="--", label="gradient x input")
ax.axhline(table["chance_auprc"].iloc[0], color="#8f99a4", linestyle=":", label="chance")
ax.set(xscale="log", xlabel="references", ylabel="auPRC against the true motifs", ylim=(0, None))
ax.set_xticks(numbers, labels=numbers)
ax.minorticks_off()
ax.spines[["top", "right"]].set_visible(False)
_ = ax.legend(frameon=False, loc="lower right")

# %% [markdown]
# With few references the straight path is ahead, and gradient x input ahead of both. With 40 the two paths are close,
# and both have passed it. So a method that looks worse may only be starved of references; see how its score grows with
# them before you rank it.
