"""The ordered map: over processes that open no port and end with the one that began them, and over a Dask cluster."""

import asyncio
import contextlib
import gc
import json
import logging
import math
import multiprocessing
import operator
import os
import signal
import subprocess
import sys
import time

import distributed
import psutil
import pytest

from simbench_tf import parallel
from simbench_tf.config import load_config
from simbench_tf.errors import InputError, WorkersLost
from simbench_tf.parallel import workers

#: A program whose workers sleep; it prints their numbers once they do.
SLEEPING = """
import sys, threading, time, multiprocessing
from simbench_tf.parallel import workers

def tell():
    while len(multiprocessing.active_children()) < 2:
        time.sleep(0.01)
    print("distributed" in sys.modules, *(each.pid for each in multiprocessing.active_children()), flush=True)

if __name__ == "__main__":
    threading.Thread(target=tell).start()
    with workers(2) as map_in_order:
        list(map_in_order(time.sleep, [600] * 9))
"""


@contextlib.contextmanager
def sleeping(tmp_path):
    """The program, and its two workers, of whom none is left when the test ends."""
    (tmp_path / "sleeping.py").write_text(SLEEPING)
    command = [sys.executable, tmp_path / "sleeping.py"]
    program = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    found = []
    try:
        loaded, *numbers = program.stdout.readline().split()
        assert loaded == "False", "distributed is loaded for --dask alone"
        found = [psutil.Process(int(number)) for number in numbers]
        yield program, found
    finally:
        for each in found:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        program.kill()
        program.communicate()


def assert_ended(processes):
    # those whose parent was killed may stay as zombies, where nobody asks for how they ended
    deadline = time.monotonic() + 60
    while any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_results_come_in_order_and_few_items_are_taken_ahead():
    taken, most = [], 0
    with workers(2) as map_in_order:
        for number, result in enumerate(map_in_order(math.sqrt, (taken.append(n) or n for n in range(50)))):
            assert result == math.sqrt(number)
            most = max(most, len(taken) - number)
    assert most == 4
    assert multiprocessing.active_children() == []


def test_an_error_of_a_worker_is_the_callers():
    with pytest.raises(TypeError, match="bad operand type"), workers(2) as map_in_order:
        list(map_in_order(operator.neg, [1, 2, "three", 4]))
    with pytest.raises(InputError) as error, workers(2) as map_in_order:
        list(map_in_order(load_config, ["demo", "dmo"]))
    assert (
        str(error.value) == "dmo: is neither a file nor a preset; did you mean 'demo'?; `simbench presets` lists them"
    )


def test_a_worker_that_is_ended_is_one_line():
    line = r"^a worker process was ended from outside, perhaps for want of memory; the same command goes on"
    with pytest.raises(WorkersLost, match=line), workers(2) as map_in_order:
        list(map_in_order(os._exit, [3, 4, 5]))


def test_no_worker_listens_and_ctrl_c_ends_them_all(tmp_path):
    with sleeping(tmp_path) as (program, found):
        for each in (psutil.Process(program.pid), *found):
            assert each.net_connections("inet") == []
        os.killpg(program.pid, signal.SIGINT)  # as a terminal does
        _, err = program.communicate(timeout=60)
        assert program.returncode == -signal.SIGINT
        assert err.count("Traceback") == err.count("KeyboardInterrupt") == 1, "the workers say nothing of their own"
        assert_ended(found)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_the_program_that_began_them(tmp_path, number):
    with sleeping(tmp_path) as (program, found):
        program.send_signal(number)
        assert program.wait(60) == -number
        assert_ended(found)


# a Dask cluster


@pytest.fixture
def dask(monkeypatch, tmp_path):
    """Starts `dask scheduler` and `dask worker` in processes of their own; holds the scheduler's address."""
    monkeypatch.setattr(parallel, "FIRST_NOTE", 0.5)
    monkeypatch.setattr(parallel, "NEXT_NOTE", 0.5)
    monkeypatch.setattr(parallel, "SCHEDULER_TIMEOUT", "3s")
    monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES", "0")
    started = []

    class Cluster:
        address = None

        def start(self, *arguments, cwd=tmp_path):
            command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            started.append(subprocess.Popen(command, cwd=cwd, **quiet))
            return started[-1]

        def worker(self, **options):
            return self.start("worker", self.address, "--no-nanny", "--nthreads", "1", **options)

    cluster = Cluster()
    file = tmp_path / "scheduler.json"
    cluster.scheduler = cluster.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file))
    deadline = time.monotonic() + 120
    while cluster.address is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
        with contextlib.suppress(FileNotFoundError, ValueError):
            cluster.address = json.loads(file.read_text())["address"]
    yield cluster
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_scheduler_without_workers_says_so_until_there_are_some(dask, caplog):
    told = f"the scheduler at {dask.address} has no workers: start some by `dask worker {dask.address}`"

    class Handler(logging.Handler):
        def emit(self, record):
            if caplog.messages.count(told) == 3:
                dask.worker()

    handler = Handler()
    logging.getLogger("simbench_tf").addHandler(handler)
    try:
        with workers(address=dask.address) as map_in_order:
            assert list(map_in_order(operator.neg, range(30))) == [-n for n in range(30)]
    finally:
        logging.getLogger("simbench_tf").removeHandler(handler)
    assert caplog.messages.count(told) >= 3
    assert set(caplog.messages) == {told}


@pytest.mark.slow
def test_a_worker_that_does_not_see_a_file_is_one_line(dask, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a.txt").write_text("")
    monkeypatch.chdir(tmp_path / "here")
    dask.worker(cwd=tmp_path)  # of a file's name alone it sees another one
    with workers(address=dask.address) as map_in_order:
        with pytest.raises(InputError) as error:
            list(map_in_order(os.stat, ["a.txt"]))
        assert str(error.value) == (
            f"--dask {dask.address}: its workers do not see a.txt; "
            "have them see the run, and what it reads, under the same paths as this machine"
        )
        with pytest.raises(FileNotFoundError):
            list(map_in_order(os.stat, ["b.txt"]))


@pytest.mark.slow
def test_a_scheduler_or_workers_that_end_are_one_line(dask):
    dask.worker()
    with workers(address=dask.address) as map_in_order:
        with pytest.raises(WorkersLost, match=rf"^workers of the scheduler at {dask.address} ended again and again"):
            list(map_in_order(os._exit, [1]))
        results = map_in_order(operator.neg, (n if n < 1 else dask.scheduler.kill() or n for n in range(9)))
        with pytest.raises(
            WorkersLost, match=rf"^the scheduler at {dask.address} no longer answers; once it is started"
        ):
            list(results)


def clients():
    """The clients of schedulers that are not closed; one that is left behind can stop the next one for ever."""
    gc.collect()
    return [each for each in gc.get_objects() if type(each) is distributed.Client and each.status != "closed"]


@pytest.mark.parametrize("address", ["nonsense", "foo://127.0.0.1:9", "tls://127.0.0.1:9"])
def test_an_address_that_is_none_is_one_line(address):
    line = rf"^--dask {address}: is no address of a scheduler: .*; write tcp://host:port"
    with pytest.raises(InputError, match=line) as error:
        workers(address=address).__enter__()
    assert clients() == []
    assert error.value.__cause__ is not None, "which holds what there was when it failed"


def test_an_address_where_nobody_is_is_one_line(monkeypatch):
    monkeypatch.setattr(parallel, "SCHEDULER_TIMEOUT", "1s")

    async def enter():
        workers(address="tcp://127.0.0.1:9").__enter__()

    with pytest.raises(InputError, match=r"^--dask tcp://127.0.0.1:9: no scheduler answers there;") as error:
        asyncio.run(enter())  # as in a notebook, which has an event loop
    assert clients() == []
    assert error.value.__cause__ is not None
