"""What a run writes about itself: CSV, TensorBoard and a line of progress."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TextIO

from rich.progress import BarColumn, Progress, TextColumn
from torch.utils.tensorboard import SummaryWriter

from finola_codec.training.files import Checked

LOG, VALIDATION, FILES = "log.csv", "validation.csv", "files.csv"
STRIPS = "strips"  # the folder of held-out pictures above their decodes
FILES_COLUMNS = ("step", "codec", "image", "setting", "bpp", "psnr", "ms_ssim")
SHOWN = {"bpp": "{:.3f} bpp", "psnr": "{:.2f} dB"}  # in the line of progress; others are told by name
Row = dict[str, Any]


class Logs(Protocol):
    """What a trainer tells of its steps and validations."""

    def step(self, row: Row, progress: float, seconds_left: float) -> None: ...

    def validation(self, step: int, rows: list[Row]) -> None: ...

    def real_files(self, step: int, checked: Checked) -> None: ...

    def say(self, text: str) -> None: ...


class _Table:
    """A CSV file that rows are added to; it is made, with its header, when the first one comes."""

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path, self.columns = path, columns
        self.file: TextIO | None = None

    def add(self, rows: Iterable[Row]) -> None:
        if self.file is None:
            self.file = self.path.open("a", newline="")
            if self.file.tell() == 0:
                csv.DictWriter(self.file, self.columns).writeheader()
        csv.DictWriter(self.file, self.columns).writerows(rows)

    def flush(self) -> None:
        if self.file is not None:
            self.file.flush()

    def close(self) -> None:
        if self.file is not None:
            self.file.close()


def _short(row: Row) -> Row:
    return {name: f"{value:.6g}" if isinstance(value, int | float) else value for name, value in row.items()}


class _Files:
    def __init__(self, run: Path, columns: tuple[str, ...], labels: tuple[str, ...], bar: Progress) -> None:
        self.columns, self.labels = ("loss", *columns), labels
        self.steps = _Table(run / LOG, ("step", *self.columns, "lr", "skipped", "seconds"))
        self.validations = _Table(run / VALIDATION, ("step", *labels, *self.columns))
        self.real = _Table(run / FILES, FILES_COLUMNS)
        self.run, self.standing = run, ""
        self.board = SummaryWriter(run / "tensorboard")
        self.bar, self.task = bar, bar.add_task("training", total=1.0)

    def step(self, row: Row, progress: float, seconds_left: float) -> None:
        self.steps.add([_short(row)])
        speed = f"step {row['step']}, {1 / row['seconds']:.2f} steps/s, {seconds_left / 60:.0f} min left"
        told = "".join(f", {SHOWN.get(name, name + ' {:.3f}').format(row[name])}" for name in self.columns)
        self.bar.update(self.task, completed=progress, description=f"{speed}{told}{self.standing}")
        if row["step"] % 20 == 0:
            self.steps.flush()
            for name in (*self.columns, "lr"):
                self.board.add_scalar(f"train/{name}", row[name], int(row["step"]))

    def validation(self, step: int, rows: list[Row]) -> None:
        self.validations.add(_short({"step": step} | row) for row in rows)
        self.validations.flush()
        for row in rows:
            label = "_".join(str(row[name]) for name in self.labels)
            for name in self.columns:
                self.board.add_scalar(f"{label}/{name}", row[name], step)

    def real_files(self, step: int, checked: Checked) -> None:
        self.real.add({"step": step} | record for record in checked.records)
        self.real.flush()
        for name, rate in checked.bd_rates.items():
            self.board.add_scalar(f"bd_rate/{name}", rate, step)
        self.standing = "".join(f", {rate:+.1f} % against {name}" for name, rate in checked.bd_rates.items())
        self.say(f"step {step}: held-out files{self.standing}")
        (self.run / STRIPS).mkdir(exist_ok=True)
        checked.strip.save(self.run / STRIPS / f"{step:07d}.png")

    def say(self, text: str) -> None:
        self.bar.console.print(text)

    def close(self) -> None:
        for table in (self.steps, self.validations, self.real):
            table.close()
        self.board.close()


class _Silent:
    """The other processes of a run on several devices write nothing."""

    def step(self, row: Row, progress: float, seconds_left: float) -> None: ...

    def validation(self, step: int, rows: list[Row]) -> None: ...

    def real_files(self, step: int, checked: Checked) -> None: ...

    def say(self, text: str) -> None: ...


@contextmanager
def logs(run: Path, columns: tuple[str, ...], labels: tuple[str, ...], is_writer: bool) -> Iterator[Logs]:
    """The logs in the folder ``run``, for the one process that is the writer; columns and labels as an objective's."""
    if not is_writer:
        yield _Silent()
        return
    with Progress(TextColumn("{task.description}"), BarColumn()) as bar:
        files = _Files(run, columns, labels, bar)
        try:
            yield files
        finally:
            files.close()
