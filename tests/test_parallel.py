"""Work on several processes."""

from __future__ import annotations

import os

import pytest

from finola_codec.parallel import THREADS, Engine


@pytest.mark.slow
def test_workers_use_one_thread_each_and_the_caller_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert list(Engine(2).map(os.getenv, THREADS * 3)) == ["1"] * 6
    assert [os.getenv(name) for name in THREADS] == ["7", None]
