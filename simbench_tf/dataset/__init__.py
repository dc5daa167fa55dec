"""The data set on disk: written part by part, opened only when complete, read one split at a time."""

from simbench_tf.dataset.dataset import Dataset, open_dataset
from simbench_tf.dataset.site_rows import covered
from simbench_tf.dataset.split_leakage import leakage
from simbench_tf.dataset.write import finish_dataset, write_dataset, write_part

__all__ = ["Dataset", "covered", "finish_dataset", "leakage", "open_dataset", "write_dataset", "write_part"]
