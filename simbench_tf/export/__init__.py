"""Export of trained models: Kipoi model-zoo entries, folders for Hugging Face, records for Zenodo."""

from simbench_tf.export.entry import (
    EntryInfo,
    Exported,
    GroupMember,
    export_kipoi,
    export_kipoi_group,
)
from simbench_tf.export.huggingface import export_huggingface
from simbench_tf.export.publishing import Upload, publish
from simbench_tf.export.run_entry import export_run, export_run_group
from simbench_tf.export.zenodo import export_zenodo

Variant = GroupMember  # its former name

__all__ = [
    "EntryInfo",
    "Exported",
    "GroupMember",
    "Upload",
    "Variant",
    "export_huggingface",
    "export_kipoi",
    "export_kipoi_group",
    "export_run",
    "export_run_group",
    "export_zenodo",
    "publish",
]
