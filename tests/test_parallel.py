"""Work on several processes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time

import pytest

from finola_codec.errors import FinolaError
from finola_codec.parallel import THREADS, Engine


@pytest.mark.slow
def test_workers_use_one_thread_each_and_the_caller_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert list(Engine(2).map(os.getenv, THREADS * 3)) == ["1"] * 6
    assert [os.getenv(name) for name in THREADS] == ["7", None]


@pytest.mark.timeout(120)
def test_what_is_under_way_ends_when_nobody_wants_it() -> None:
    results = Engine(2).map(time.sleep, [0, 10000, 10000, 10000])
    assert next(results) is None
    results.close()
    assert not multiprocessing.active_children()


@pytest.mark.timeout(120)
def test_an_error_ends_what_is_under_way() -> None:
    with pytest.raises(ValueError, match="non-negative"):
        list(Engine(2).map(time.sleep, [-1, 10000, 10000]))
    assert not multiprocessing.active_children()


def test_a_worker_that_dies_is_an_error_of_ours() -> None:
    with pytest.raises(FinolaError, match="not enough memory"):
        list(Engine(2).map(os._exit, [1, 1]))


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_ray_leaves_sigterm_to_its_caller() -> None:
    pytest.importorskip("ray")
    program = """
import os, signal, sys
from finola_codec.parallel import Engine
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
print(list(Engine(1, ray=True).map(abs, [-1])))
os.kill(os.getpid(), signal.SIGTERM)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "[1]\n")
