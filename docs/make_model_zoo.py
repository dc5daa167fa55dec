"""Write model_zoo/README.md: a table of the Kipoi entries beside it, made from the entries themselves.

python docs/make_model_zoo.py           # --check holds the page to the entries
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from markdown_table import table
from written_page import write_or_check

from simbench_tf.export.describe_run import number, share

ZOO = Path(__file__).resolve().parents[1] / "model_zoo"
PAGE = ZOO / "README.md"
HEAD = """# Trained models as Kipoi entries

Each folder is a self-contained entry that `kipoi` tests and predicts with as it lies. They were made by

```sh
simbench run five_lines --out runs/five_lines
simbench export runs/five_lines --model basset --out model_zoo/five_lines_basset
simbench export runs/five_lines --model beluga --out model_zoo/five_lines_beluga --float16
```

The table is made from `model.yaml`, `metrics.json` and the weights of each entry by `python docs/make_model_zoo.py`:
the auROC of each task on the test split, the exact ceiling of the simulation, and how far the one is on the way from .5
to the other ([docs/findings.md](../docs/findings.md) has what attribution methods see in the models).
"""
TAIL = """
```sh
kipoi test model_zoo/five_lines_beluga --source dir
kipoi predict model_zoo/five_lines_beluga --source dir -o predictions.tsv \\
    --dataloader_args '{"fasta_file": "hg38.fa", "intervals_file": "windows_of_400_bp.bed"}'
simbench variants model_zoo/five_lines_beluga --vcf variants.vcf --fasta hg38.fa --out effects.tsv
simbench export --check model_zoo/five_lines_beluga
```

They know the 27 motifs of `five_lines`' simulated DNA and nothing of any genome: they are here to try Kipoi,
attribution methods and this package on. `simbench run` explains such an entry with
`models: [{name: shared, kipoi: model_zoo/five_lines_beluga}]`. How to share a model of your own:
[docs/sharing.md](../docs/sharing.md).
"""


def page() -> str:
    """The whole page."""
    entries = sorted(path.parent for path in ZOO.glob("*/model.yaml"))
    heads = ["entry", "model", "data", "auROC (exact ceiling, share)", "weights"]
    return f"{HEAD}\n{table(heads, [_row(entry) for entry in entries])}\n{TAIL}"


def _row(entry: Path) -> list[str]:
    described = yaml.safe_load((entry / "model.yaml").read_text(encoding="utf-8"))
    metrics = json.loads((entry / "metrics.json").read_text(encoding="utf-8"))
    weights = entry / described["args"]["weights"]
    return [
        f"[`{entry.name}`]({entry.name}/model.yaml)",
        described["info"]["doc"].partition(", trained on")[0],
        described["info"]["trained_on"].partition("; simulated by")[0].removeprefix("Data set "),
        "<br>".join(_reached(task, one) for task, one in metrics.items()),
        f"{weights.stat().st_size / 1e6:.1f} MB",
    ]


def _reached(task: str, one: dict[str, Any]) -> str:
    return f"{task} {number(one['auroc'])} ({number(one['oracle_auroc'])}, {share(one):.0%})"


if __name__ == "__main__":
    write_or_check(PAGE, page(), "the entries")
