"""A plain Keras training script on one of our data sets.

    simbench simulate demo --out runs/demo
    python examples/train_keras.py runs/demo/dataset

Nothing here but Keras' own layers, losses, metrics and `fit`: `open_dataset` gives the batches, and at the end our
`attribute` and `score_attributions` tell how well an explanation of the model finds the true motifs.
"""

import argparse
import math

import keras
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

import simbench_tf as sb

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("dataset", help="RUN/dataset")
parser.add_argument("--batch-size", type=int, default=100)
parser.add_argument("--epochs", type=int, default=8)
parser.add_argument("--max-batches", type=int, default=None, help="batches of an epoch; default: all")
options = parser.parse_args()

keras.utils.set_random_seed(1)
ds = sb.open_dataset(options.dataset)

inputs = keras.Input((ds.seq_length, 4), name="one_hot")
x = keras.layers.Conv1D(64, 15, activation="relu")(inputs)
x = keras.layers.MaxPooling1D(4)(x)
x = keras.layers.Conv1D(64, 7, activation="relu")(x)
x = keras.layers.GlobalMaxPooling1D()(x)
x = keras.layers.Dropout(0.2)(x)
x = keras.layers.Dense(64, activation="relu")(x)
outputs = keras.layers.Dense(len(ds.tasks), activation="sigmoid")(x)
model = keras.Model(inputs, outputs)
model.summary()

model.compile(
    optimizer=keras.optimizers.Adam(0.001),
    loss="binary_crossentropy",
    metrics=[
        keras.metrics.AUC(curve="ROC", multi_label=True, name="auroc"),
        keras.metrics.AUC(curve="PR", multi_label=True, name="auprc"),
    ],
)
model.fit(
    ds.tf_data("train", batch_size=options.batch_size, seed=1, repeat=True),
    validation_data=ds.tf_data("valid", batch_size=options.batch_size, shuffle=False),
    epochs=options.epochs,
    steps_per_epoch=options.max_batches or math.ceil(ds.counts["train"] / options.batch_size),
    shuffle=False,  # tf_data has done it
    callbacks=[keras.callbacks.EarlyStopping("val_auprc", mode="max", patience=1, restore_best_weights=True)],
    verbose=2,
)
test = ds.tf_data("test", batch_size=500, shuffle=False)
measured = model.evaluate(test, return_dict=True, verbose=0)
print(f"test: auroc {measured['auroc']:.3f}, auprc {measured['auprc']:.3f}, means over {', '.join(ds.tasks)}")
for task, labels, probabilities in zip(ds.tasks, ds.labels("test").T, model.predict(test, verbose=0).T, strict=True):
    auroc, auprc = roc_auc_score(labels, probabilities), average_precision_score(labels, probabilities)
    print(f"{task}: auroc {auroc:.3f}, auprc {auprc:.3f}, chance {labels.mean():.3f}")

# which bases does it look at, and are they the motifs?
for target, task in enumerate(ds.tasks):
    positives = np.flatnonzero(ds.labels("test")[:, target])[:50]
    explained = sb.attribute(model, sb.one_hot(ds.bases("test")[positives]), method="grad_x_input", target=target)
    scores = sb.score_attributions(explained.scores, ds.mask("test", task=task)[positives]).mean()
    print(f"{task}: gradient x input has auPRC {scores.auprc:.3f} on true bases, chance {scores.chance_auprc:.3f}")
