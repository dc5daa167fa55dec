"""Kill what writes files at each of its operations on files, do it again, and say what is not as it would have been.

python crash_points.py FOLDER STRIDE FIRST [NAME ...]: a run without models, or the stages (and commands) named, with
FOLDER/c.yaml; at each STRIDE-th operation. A line of JSON for each: its name, how many operations it has, at which it
was killed, and what went wrong.
"""

import json
import os
import shutil
import sys
import tempfile
from functools import partial
from pathlib import Path

# TensorFlow is not forked well once it has computed: the parent imports and computes nothing, so that each fork is like
# a new process; a child ends without clean-up
sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.drawn_peaks import LENGTH as PEAK_LENGTH
from helpers.like_runs import differences
from simbench_tf import pipeline
from simbench_tf.config import load_config
from simbench_tf.interchange.attribute_sequences import read_bed
from simbench_tf.interchange.import_attributions import take_attributions
from simbench_tf.run.lock import locked
from simbench_tf.run.models import load_model
from simbench_tf.run.verify import problems
from simbench_tf.stages.belief import RealModel, believe
from simbench_tf.stages.export import write
from simbench_tf.stages.twin import twin

OPERATIONS = ("replace", "rename", "unlink", "remove", "rmdir", "mkdir", "link")
#: Sequences that a twin draws.
N_DRAWN = 900
#: Float tolerances, relative and absolute, of what networks compute.
OF_NETWORKS = (1e-4, 1e-5)


def main(folder, stride, first, *names):
    tempfile.tempdir = str(folder)  # of what a killed child leaves
    config, before = load_config(folder / "c.yaml"), folder / "nothing"
    points = range(1 + first % stride, sys.maxsize, stride)
    if not names:
        work = partial(without_models, config, folder / "given.npz")
        kill_at_each(folder, "run", work, before, points)
        return
    # imported and left unused
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    for name, work in (of_a_twin if "twin" in names else of_stages)(config, folder).items():
        if name in names:
            before = kill_at_each(folder, name, work, before, points, OF_NETWORKS)
        else:
            before = done_once(folder, name, work, before)


def of_stages(config, _):
    """What is done to a run, by name, each on what the one before made."""
    found = {"begin": lambda run: pipeline.begin(config, run)}
    found |= {name: partial(locked_stage, getattr(pipeline, name), config) for name in (*pipeline.STAGES, "export")}
    return found | {"share": shared}


def of_a_twin(config, folder):
    """What is done to a twin of peaks and beside it, by name."""
    return {
        "twin": lambda run: twin(config, run, N_DRAWN),
        "finished": lambda run: pipeline.run(load_config(run / "config.yaml"), run),
        "believe": partial(believed, folder),
    }


def without_models(config, given, run):
    pipeline.run(config, run)
    for task in ("HepG2", "K562"):
        take_attributions(config, run, given, task=task, model_name="theirs")
    pipeline.run(config, run)


def locked_stage(stage, config, run):
    with locked(run):
        stage(config, run)


def shared(run):
    with locked(run):
        for place in ("huggingface", "zenodo"):
            write(run, ["basset"], to=place)


def believed(folder, run):
    real = RealModel(load_model(run / "models" / "small" / "model.keras"), "theirs")
    peaks = read_bed(folder / "A.bed", folder / "genome.fa", PEAK_LENGTH)
    believe(load_config(run / "config.yaml"), run, real, peaks, run / "believed")


def copied(source, run):
    shutil.rmtree(run, ignore_errors=True)
    if source.is_dir():
        shutil.copytree(source, run)
    return run


def in_fork(work, run, crash_at=None, count_file=None):
    """Do it in a child that is killed at an operation; its exit code, negative that of a signal."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    done = 0

    def counted(operation):
        def call(*arguments, **options):
            nonlocal done
            done += 1
            if done == crash_at:
                os.kill(os.getpid(), 9)
            return operation(*arguments, **options)

        return call

    for name in OPERATIONS:
        setattr(os, name, counted(getattr(os, name)))
    try:
        work(run)
    except BaseException as error:
        print(f"crash point {crash_at}: {type(error).__name__}: {error}", flush=True)
        os._exit(1)
    if count_file:
        count_file.write_text(str(done))
    os._exit(0)


def done_once(folder, name, work, before):
    """A copy of `before` with this work done, in the place where it will be killed: some files say where they are."""
    run = copied(before, folder / "run")
    assert in_fork(work, run, count_file=folder / "count") == 0, name
    return run.rename(folder / f"after-{name}")


def kill_at_each(folder, name, work, before, points, tolerances=(0, 0)):
    """Kill a work on a copy of `before` at its operations; return what it leaves when it is not killed."""
    expected = done_once(folder, name, work, before)
    n, tried, faults = int((folder / "count").read_text()), [], []
    for point in points:
        run = copied(before, folder / "run")
        killed = in_fork(work, run, point) if point <= n else 0
        if killed == 0 and (point > n or any(tolerances)):
            break  # the first time compiled code was put into its cache, by operations that are none of a run
        tried.append(point)
        resumed = in_fork(work, run)
        wrong = differences(run, expected, *tolerances)
        told = list(problems(run)) if resumed == 0 else []
        if killed != -9 or resumed != 0 or wrong or told:
            faults.append([name, point, killed, resumed, wrong, told])
    print(json.dumps([name, n, tried, faults]), flush=True)
    return expected


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
