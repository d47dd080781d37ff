"""One function over many items, in order, on this machine's processes or on a Ray cluster."""

from __future__ import annotations

import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from finola_codec.errors import ConfigError, how_to_install

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
        """``function`` of each item, in the items' order; both must pickle. Errors that it raises are raised here.

        Close the generator where its items may not all be wanted: that ends the processes at once.
        """
        if self.ray:
            return self._on_ray(function, items)
        if self.workers == 1:
            return (function(item) for item in items)
        from finola_codec.processes import on_processes

        return on_processes(self.workers, function, items, self.workers * AHEAD, THREADS)

    def _on_ray(self, function: Callable[[In], Out], items: Iterable[In]) -> Generator[Out, None, None]:
        try:
            import ray
        except ImportError as error:
            raise ConfigError(f"the engine ray needs: {how_to_install('ray')}") from error
        if not ray.is_initialized():
            cpus = None if self.address else self.workers
            environment = {"env_vars": dict.fromkeys(THREADS, "1")}
            with _keeping_sigterm():
                ray.init(self.address or None, num_cpus=cpus, log_to_driver=False, runtime_env=environment)
        remote: Any = ray.remote(lambda item: function(item))
        workers = max(1, int(ray.cluster_resources().get("CPU", 1)))
        source = iter(items)
        waiting = deque(remote.remote(item) for item in islice(source, workers * AHEAD))
        while waiting:
            try:
                yield ray.get(waiting.popleft())
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error
            waiting.extend(remote.remote(item) for item in islice(source, 1))


@contextmanager
def _keeping_sigterm() -> Iterator[None]:
    """Ray puts a handler of its own in the place of the one that is there, with another exit code."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)
