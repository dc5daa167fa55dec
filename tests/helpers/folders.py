"""Where the project's own folders are, and what is in a folder: checksums and times of all files below it."""

import json
from pathlib import Path

from simbench_tf.dataset.files import description_checksum
from simbench_tf.files import checksum

REPOSITORY = Path(__file__).parents[2]
#: Real human sequence and regions.
CHR2 = REPOSITORY / "examples" / "data"
#: Beside the project, where it is worked on: the contract.
SHARED = REPOSITORY.parent / "shared"


def files_below(folder, pattern="*"):
    """Each file's path by its name below the folder, with slashes, in order of names; but for a run's log."""
    paths = sorted(path for path in folder.rglob(pattern) if path.is_file() and path.suffix != ".jsonl")
    return {path.relative_to(folder).as_posix(): path for path in paths}


def checksums(folder, pattern="*"):
    """Equal where two folders hold the same files, byte for byte."""
    return {name: checksum(path) for name, path in files_below(folder, pattern).items()}


def times(folder, pattern="*"):
    """When each file was written, in ns: tells a file that was made again from one that was kept."""
    return {name: path.stat().st_mtime_ns for name, path in files_below(folder, pattern).items()}


def as_if_written(run):
    """Have a run's files, changed by a test, be those that were written: the data set's checksums and the records'."""
    path = run / "dataset" / "dataset.json"
    description = json.loads(path.read_text())
    description.pop("checksum", None)
    description["checksums"] = {name: checksum(path.parent / name) for name in description["checksums"]}
    path.write_text(json.dumps({**description, "checksum": description_checksum(description)}))
    if not (run / "manifest.json").is_file():
        return
    records = json.loads((run / "manifest.json").read_text())
    for name, record in records.items():
        record["checksum"] = checksum(run / name)
    (run / "manifest.json").write_text(json.dumps(records))
