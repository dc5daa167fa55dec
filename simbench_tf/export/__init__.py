"""Export of trained models as Kipoi model-zoo entries."""

from simbench_tf.export.entry import (
    EntryInfo,
    Exported,
    GroupMember,
    export_kipoi,
    export_kipoi_group,
)
from simbench_tf.export.publishing import Upload, publish
from simbench_tf.export.run_entry import export_run, export_run_group

Variant = GroupMember  # its former name

__all__ = [
    "EntryInfo",
    "Exported",
    "GroupMember",
    "Upload",
    "Variant",
    "export_kipoi",
    "export_kipoi_group",
    "export_run",
    "export_run_group",
    "publish",
]
