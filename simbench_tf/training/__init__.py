"""Training: the loop, its schedule, checkpoints and logs, metrics on the test split, snapshots of the weights."""

from simbench_tf.training.evaluate import predict, split_metrics, write_metrics
from simbench_tf.training.snapshots import Snapshot, Snapshots, log_spaced_batches, read_snapshots
from simbench_tf.training.trainer import Trained, build_model, form_of, train

__all__ = [
    "Snapshot",
    "Snapshots",
    "Trained",
    "build_model",
    "form_of",
    "log_spaced_batches",
    "predict",
    "read_snapshots",
    "split_metrics",
    "train",
    "write_metrics",
]
