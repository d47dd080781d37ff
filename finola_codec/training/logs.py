"""What a run writes about itself: CSV, TensorBoard and a line of progress."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from rich.progress import BarColumn, Progress, TextColumn
from torch.utils.tensorboard import SummaryWriter

from finola_codec.training.files import Checked

LOG, VALIDATION, FILES = "log.csv", "validation.csv", "files.csv"
STRIPS = "strips"  # the folder of held-out pictures above their decodes
STEP_COLUMNS = ("step", "loss", "bpp", "psnr", "lr", "skipped", "seconds")
VALIDATION_COLUMNS = ("step", "kind", "position", "loss", "bpp", "psnr")
FILES_COLUMNS = ("step", "codec", "image", "setting", "bpp", "psnr")
Row = Mapping[str, Any]


class Logs(Protocol):
    """What a trainer tells of its steps and validations."""

    def step(self, row: Row, progress: float, seconds_left: float) -> None: ...

    def validation(self, step: int, rows: list[dict[str, Any]]) -> None: ...

    def real_files(self, step: int, checked: Checked) -> None: ...

    def say(self, text: str) -> None: ...


class _Files:
    def __init__(self, run: Path, bar: Progress) -> None:
        self.files = [(run / name).open("a", newline="") for name in (LOG, VALIDATION, FILES)]
        columns = (STEP_COLUMNS, VALIDATION_COLUMNS, FILES_COLUMNS)
        self.writers = [csv.DictWriter(f, c) for f, c in zip(self.files, columns, strict=True)]
        for file, writer in zip(self.files, self.writers, strict=True):
            if file.tell() == 0:
                writer.writeheader()
        self.run, self.standing = run, ""
        self.board = SummaryWriter(run / "tensorboard")
        self.bar, self.task = bar, bar.add_task("training", total=1.0)

    def step(self, row: Row, progress: float, seconds_left: float) -> None:
        self.writers[0].writerow({k: f"{v:.6g}" for k, v in row.items()})
        speed = f"step {row['step']}, {1 / row['seconds']:.2f} steps/s, {seconds_left / 60:.0f} min left"
        self.bar.update(
            self.task,
            completed=progress,
            description=f"{speed}, loss {row['loss']:.3f}, {row['bpp']:.3f} bpp, {row['psnr']:.2f} dB{self.standing}",
        )
        if row["step"] % 20 == 0:
            self.files[0].flush()
            for name in ("loss", "bpp", "psnr", "lr"):
                self.board.add_scalar(f"train/{name}", row[name], int(row["step"]))

    def validation(self, step: int, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self.writers[1].writerow({k: v if k == "kind" else f"{v:.6g}" for k, v in ({"step": step} | row).items()})
            for name in ("loss", "bpp", "psnr"):
                self.board.add_scalar(f"{row['kind']}_{row['position']}/{name}", row[name], step)
        self.files[1].flush()

    def real_files(self, step: int, checked: Checked) -> None:
        self.writers[2].writerows({"step": step} | record for record in checked.records)
        self.files[2].flush()
        for name, rate in checked.bd_rates.items():
            self.board.add_scalar(f"bd_rate/{name}", rate, step)
        self.standing = "".join(f", {rate:+.1f} % against {name}" for name, rate in checked.bd_rates.items())
        self.say(f"step {step}: held-out files{self.standing}")
        (self.run / STRIPS).mkdir(exist_ok=True)
        checked.strip.save(self.run / STRIPS / f"{step:07d}.png")

    def say(self, text: str) -> None:
        self.bar.console.print(text)

    def close(self) -> None:
        for file in self.files:
            file.close()
        self.board.close()


class _Silent:
    """The other processes of a run on several devices write nothing."""

    def step(self, row: Row, progress: float, seconds_left: float) -> None: ...

    def validation(self, step: int, rows: list[dict[str, Any]]) -> None: ...

    def real_files(self, step: int, checked: Checked) -> None: ...

    def say(self, text: str) -> None: ...


@contextmanager
def logs(run: Path, is_writer: bool) -> Iterator[Logs]:
    """The logs in the folder ``run``, for the one process that is the writer."""
    if not is_writer:
        yield _Silent()
        return
    with Progress(TextColumn("{task.description}"), BarColumn()) as bar:
        files = _Files(run, bar)
        try:
            yield files
        finally:
            files.close()
