"""One function over many items on processes of this machine; imported late, because that alone takes a while."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext, SpawnProcess
from typing import Any, TypeVar

from finola_codec.errors import FinolaError

In = TypeVar("In")
Out = TypeVar("Out")


def on_processes(
    workers: int, function: Callable[[In], Out], items: Iterable[In], ahead: int, threads: Sequence[str]
) -> Generator[Out, None, None]:
    """``function`` of each item, in order, on so many processes, with at most ``ahead`` items under way.

    Each has one thread; ``threads`` are the environment variables that libraries are told so by.
    """
    context = _Context()
    alive, held = context.Pipe(duplex=False)  # the other end closes when this process ends, however it does
    with _one_thread_each(threads), held, ProcessPoolExecutor(workers, context, _end_with, (alive,)) as pool:
        try:
            source = iter(items)
            waiting = deque(_submit(pool, function, item) for item in islice(source, ahead))
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(_submit(pool, function, item) for item in islice(source, 1))
        except BrokenProcessPool as error:
            raise FinolaError("a worker process was ended from outside; perhaps there is not enough memory") from error
        except BaseException:  # an error, a signal, or nobody wants the rest: what is under way is not waited for
            context.kill()
            raise


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
def _one_thread_each(threads: Sequence[str]) -> Iterator[None]:
    """Processes that start meanwhile inherit this; libraries read it when imported, before a worker could set it."""
    before = {name: os.environ.get(name) for name in threads}
    os.environ.update(dict.fromkeys(threads, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
