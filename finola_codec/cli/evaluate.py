"""finola-codec eval"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import click

from finola_codec.cli import options
from finola_codec.codec import DEFAULT_EFFORT
from finola_codec.files import check_folder
from finola_codec.runtime.manifest import DEFAULT_TUNE, Tune
from finola_codec.runtime.model import DEFAULT_MODEL


@click.command("eval")
@click.argument("images")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the results.")
@click.option(
    "--codecs",
    default="jpeg,webp,jpeg2000,avif",
    show_default=True,
    help="Beside ours; also jxl and heic (wheels), mozjpeg, bpg and vvc (programs).",
)
@click.option("--model", "models", multiple=True, default=[DEFAULT_MODEL], show_default=True, help="Ours; repeatable.")
@click.option(
    "--effort",
    "efforts",
    type=options.EFFORT,
    multiple=True,
    callback=lambda context, parameter, values: tuple(map(int, values)),
    default=[str(DEFAULT_EFFORT)],
    show_default=True,
    help="Of ours; repeatable.",
)
@click.option(
    "--quality",
    "qualities",
    type=click.IntRange(1, 100),
    multiple=True,
    help="Of ours; repeatable. By default twelve from 1 to 100.",
)
@click.option(
    "--tune",
    "tunes",
    type=options.TUNE,
    multiple=True,
    default=[DEFAULT_TUNE],
    show_default=True,
    help="What ours spend their bits for; repeatable.",
)
@click.option(
    "--published", type=click.Path(exists=True, path_type=Path), help="JSON of published curves, for the plot."
)
@click.option("--resize", type=click.IntRange(min=1), help="Bring the shorter side to so many pixels first.")
@click.option("--center-crop", type=click.IntRange(min=1), help="Then take the centre of so many pixels a side.")
@click.option("--log-x/--linear-x", default=True, show_default=True, help="The rate axis of the plots.")
@click.option("--html/--no-html", default=True, show_default=True, help="Make the page, with every picture decoded.")
@options.device
@options.force
@options.engine(1)
def evaluate(
    images: str,
    out: Path,
    codecs: str,
    models: tuple[str, ...],
    efforts: tuple[int, ...],
    qualities: tuple[int, ...],
    tunes: tuple[Tune, ...],
    published: Path | None,
    resize: int | None,
    center_crop: int | None,
    log_x: bool,
    html: bool,
    device: str | None,
    force: bool,
    workers: int,
    engine: str,
    address: str,
) -> None:
    """Compare codecs on IMAGES: a folder, a .txt list, a glob, a .tar (WebDataset shard) or one picture.

    Each result is written as soon as it is measured; the same command continues an interrupted run. Results of other
    weights, pictures and settings stay in the folder's results.jsonl, but are neither taken for these nor reported.
    """
    from rich.progress import track

    from finola_codec.evaluation import html as page
    from finola_codec.evaluation import pictures, rd, report, sweep
    from finola_codec.parallel import Engine

    check_folder(out, force, own=sweep.RESULTS)
    others = tuple(c for c in codecs.split(",") if c)
    measured_at = tuple(sorted(set(qualities))) or sweep.Plan.qualities
    plan = sweep.Plan(others, models, resize, center_crop, efforts, tunes, measured_at, device)
    chosen = plan.open()
    curves = rd.load_published(published) if published else {}
    found = pictures.find(images)
    where = Engine(workers, engine == "ray", address)
    total = len(found) * sum(len(c.settings) for c in chosen)
    with closing(sweep.run(found, plan, out, where)) as measured:
        for record in track(measured, "Evaluating", total):
            if "error" in record:
                click.echo(f"finola-codec: skipped: {record['error']}", err=True)
    records = sweep.results(found, plan, out)
    summary = report.write(records, out, curves, {c.name: c.about() for c in chosen}, log_x)
    _show(summary)
    if html:
        page.write(out / "html", records, summary, curves, page.make_gallery(out / "html", found, plan, where))
    click.echo(f"{out}: results.jsonl, summary.json, curves.csv, plots{', html/index.html' if html else ''}")


def _show(summary: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    ours = next(iter(summary["curves"]))
    metrics = list(summary["bd_rate"])
    title = f"BD-rate of {ours} in percent (fewer bits are negative), {summary['images']} images"
    table = Table("against", *(m.upper().replace("_", "-") for m in metrics), title=title)
    for anchor in list(summary["curves"])[1:]:
        table.add_row(anchor, *map(_percent, (summary["bd_rate"][m][anchor][ours] for m in metrics)))
    for anchor, tests in summary["bd_rate_published"].items():
        table.add_row(f"{anchor} (published)", _percent(tests[ours]))
    Console().print(table)


def _percent(delta: dict[str, float] | None) -> str:
    return "" if delta is None else f"{delta['rate']:+.1f}"
