"""finola-codec eval"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from finola_codec.runtime.model import DEFAULT_MODEL


@click.command("eval")
@click.argument("images", type=click.Path(exists=True, path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the results.")
@click.option(
    "--codecs", default="jpeg,webp,jpeg2000,avif", show_default=True, help="Codecs beside ours; also jxl, heic."
)
@click.option("--model", "models", multiple=True, default=[DEFAULT_MODEL], show_default=True, help="Ours; repeatable.")
@click.option(
    "--published", type=click.Path(exists=True, path_type=Path), help="JSON of published curves to compare with."
)
@click.option("--resize", type=click.IntRange(min=1), help="Bring the shorter side to so many pixels first.")
@click.option("--center-crop", type=click.IntRange(min=1), help="Then take the centre of so many pixels a side.")
def evaluate(
    images: Path,
    out: Path,
    codecs: str,
    models: tuple[str, ...],
    published: Path | None,
    resize: int | None,
    center_crop: int | None,
) -> None:
    """Compare codecs on IMAGES: a folder, one picture, or a .txt file that lists pictures.

    Each result is written as soon as it is measured; the same command continues an interrupted run.
    """
    from rich.progress import track

    from finola_codec.evaluation import rd, report, sweep
    from finola_codec.evaluation.codecs import find

    chosen = find([c for c in codecs.split(",") if c], models)
    pictures = sweep.find_pictures(images)
    total = len(pictures) * sum(len(c.settings) for c in chosen)
    for record in track(sweep.run(pictures, chosen, out, resize, center_crop), "Evaluating", total):
        if "error" in record:
            click.echo(f"finola-codec: skipped: {record['error']}", err=True)
    names = {c.name for c in chosen}
    records = [r for r in sweep.load(out) if r.get("codec") in names or "error" in r]
    _show(report.write(records, out, rd.load_published(published) if published else {}))
    click.echo(f"{out}: results.jsonl, summary.json, curves.csv, plots")


def _show(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("against", *summary["curves"], title=f"BD-rate in percent, {summary['images']} images")
    for title, rows in (("", summary["bd_rate"]), (" (published)", summary["bd_rate_published"])):
        for anchor, tests in rows.items():
            cells = [tests.get(codec) for codec in summary["curves"]]
            table.add_row(anchor + title, *("" if c is None else f"{c['rate']:+.1f}" for c in cells))
    Console().print(table)
