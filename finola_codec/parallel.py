"""One function over many items, in order, on this machine's processes or on a Ray cluster."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from finola_codec.errors import ConfigError

In = TypeVar("In")
Out = TypeVar("Out")

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
AHEAD = 4  # items under way for each worker; bounds memory however many there are


@dataclass(frozen=True)
class Engine:
    """Where work is done: ``workers`` processes here, or a Ray cluster at ``address`` ("" starts one here)."""

    workers: int = 1
    ray: bool = False
    address: str = ""

    @property
    def threads(self) -> int:
        """CPU threads that each worker may use: all for one alone, else one."""
        return 0 if self.workers == 1 and not self.ray else 1

    def map(self, function: Callable[[In], Out], items: Iterable[In]) -> Generator[Out, None, None]:
        """``function`` of each item, in the items' order; both must pickle. Errors that it raises are raised here."""
        if self.ray:
            return self._on_ray(function, items)
        if self.workers == 1:
            return (function(item) for item in items)
        return self._on_processes(function, items)

    def _on_processes(self, function: Callable[[In], Out], items: Iterable[In]) -> Generator[Out, None, None]:
        # Spawned, not forked: ONNX Runtime's and torch's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with _one_thread_each(), ProcessPoolExecutor(self.workers, context) as pool:
            source = iter(items)
            waiting = deque(pool.submit(function, item) for item in islice(source, self.workers * AHEAD))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(function, item) for item in islice(source, 1))

    def _on_ray(self, function: Callable[[In], Out], items: Iterable[In]) -> Generator[Out, None, None]:
        try:
            import ray
        except ImportError as error:
            raise ConfigError("the engine ray needs: pip install 'finola-codec[ray]'") from error
        if not ray.is_initialized():
            cpus = None if self.address else self.workers
            environment = {"env_vars": dict.fromkeys(THREADS, "1")}
            ray.init(self.address or None, num_cpus=cpus, log_to_driver=False, runtime_env=environment)
        remote: Any = ray.remote(lambda item: function(item))
        workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
        source = iter(items)
        waiting = deque(remote.remote(item) for item in islice(source, workers * AHEAD))
        while waiting:
            yield ray.get(waiting.popleft())
            waiting.extend(remote.remote(item) for item in islice(source, 1))


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that start meanwhile inherit this; libraries read it when imported, before a worker could set it."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
