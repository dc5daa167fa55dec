"""What is on record as done is on the disk before."""

import os
from pathlib import Path

from simbench_tf.run.manifest import read_manifest, write_records


def test_files_are_on_the_disk_before_their_record_is(tmp_path, monkeypatch):
    made = tmp_path / "models" / "a" / "model.keras"
    made.parent.mkdir(parents=True)
    made.write_text("weights")
    synced = []
    fsync, replace = os.fsync, type(tmp_path).replace

    def noted_fsync(handle):
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        fsync(handle)

    def noted_replace(path, target):
        synced.append(f"renamed to {target}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(type(tmp_path), "replace", noted_replace)
    write_records(tmp_path, [made], "train", "key", 1.0, "cpu")
    manifest = next(number for number, each in enumerate(synced) if each.startswith("renamed"))
    assert synced[manifest] == f"renamed to {tmp_path / 'manifest.json'}"
    assert synced[:2] == [str(made), str(made.parent)]
    assert ".partial-" in synced[2]  # the content of the manifest, before its name
    assert manifest > 2
    assert list(read_manifest(tmp_path)) == ["models/a/model.keras"]
