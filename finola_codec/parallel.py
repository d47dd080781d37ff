"""One function over many items, in order, on this machine's processes or on a Ray cluster."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from finola_codec.errors import ConfigError, FinolaError, how_to_install

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
        return self._on_processes(function, items)

    def _on_processes(self, function: Callable[[In], Out], items: Iterable[In]) -> Generator[Out, None, None]:
        context = _Context()
        alive, held = context.Pipe(duplex=False)  # the other end closes when this process ends, however it does
        with _one_thread_each(), held, ProcessPoolExecutor(self.workers, context, _end_with, (alive,)) as pool:
            try:
                source = iter(items)
                waiting = deque(_submit(pool, function, item) for item in islice(source, self.workers * AHEAD))
                while waiting:
                    yield waiting.popleft().result()
                    waiting.extend(_submit(pool, function, item) for item in islice(source, 1))
            except BrokenProcessPool as error:
                raise FinolaError(
                    "a worker process was ended from outside; perhaps there is not enough memory"
                ) from error
            except BaseException:  # an error, a signal, or nobody wants the rest: what is under way is not waited for
                context.kill()
                raise

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


class _Context(SpawnContext):
    """Spawns processes and can end them. ONNX Runtime's and torch's threads would not survive a fork."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[SpawnProcess] = []

    def Process(self, *arguments: Any, **options: Any) -> SpawnProcess:  # type: ignore[override]
        self.started.append(SpawnProcess(*arguments, **options))
        return self.started[-1]

    def kill(self) -> None:
        for process in self.started:
            if process.is_alive():
                process.kill()


def _submit(pool: ProcessPoolExecutor, function: Callable[[In], Out], item: In) -> Future[Out]:
    """Submit work. A terminal sends Ctrl-C to every process; those that start here inherit that they do not get it."""
    if os.name != "posix":
        return pool.submit(function, item)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(function, item)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with(alive: Connection) -> None:
    """In a worker: end as soon as the other end of ``alive`` is closed, and leave Ctrl-C to the process at that end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        with suppress(EOFError, OSError):
            alive.recv_bytes()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


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
