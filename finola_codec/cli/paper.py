"""finola-codec paper"""

from __future__ import annotations

from pathlib import Path

import click

from finola_codec.cli import options
from finola_codec.errors import ConfigError
from finola_codec.files import check_folder
from finola_codec.parallel import Engine

Folder = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--table", type=click.Choice(["3", "4", "14"]), required=True, help="Of the FINOLA paper.")
@click.option("--data", type=Folder, help="Pictures to train on, for tables 3 and 14.")
@click.option("--steps", type=click.IntRange(min=1), default=800, show_default=True, help="Of training for each row.")
@click.option("--kodak", type=Folder, help="For table 4.")
@click.option("--imagenet", type=Folder, help="For table 4.")
@click.option("--model", default="finola-256", show_default=True, help="For table 4.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for decoded pixels and results.")
@options.engine(1)
def paper(
    table: str,
    data: Path | None,
    steps: int,
    kodak: Path | None,
    imagenet: Path | None,
    model: str,
    out: Path,
    workers: int,
    engine: str,
    address: str,
) -> None:
    """Measure again what the FINOLA paper claims, and print it as Markdown.

    Table 3 is how a vector should grow, 4 the codec against JPEG, 14 how long the vector should be. Tables 3 and 14
    train small autoencoders of 64 x 64 pixels, all rows for as many steps.
    """
    if table == "4":
        if not (kodak or imagenet):
            raise click.UsageError("table 4 needs --kodak, --imagenet or both")
        _table4({"kodak": kodak, "imagenet": imagenet}, model, out, Engine(workers, engine == "ray", address))
    else:
        if data is None:
            raise click.UsageError(f"table {table} needs --data")
        _ablation(table, data, steps, out)


def _table4(folders: dict[str, Path | None], model: str, out: Path, engine: Engine) -> None:
    from finola_codec.evaluation import pictures
    from finola_codec.paper.table4 import PAPER, table4

    click.echo("| data | paper, 0.19 bpp | ours | at bpp | JPEG at 0.19 | JPEG at our bpp | fixed-length bpp | saved |")
    click.echo("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, folder in folders.items():
        if folder is None:
            continue
        t = table4(name, pictures.find(str(folder)), model, out / name, engine)
        jpegs = " | ".join("below its range" if p is None else f"{p:.2f} dB" for p in (t.jpeg, t.jpeg_at_ours))
        ours = f"{t.psnr:.2f} dB (quality {t.quality}) | {t.bpp:.3f}"
        click.echo(f"| {name} | {PAPER[name][0]} dB | {ours} | {jpegs} | {t.fixed_bpp:.3f} | {t.saved:.0f} % |")


def _ablation(table: str, data: Path, steps: int, out: Path) -> None:
    from finola_codec.paper import ablations
    from finola_codec.training.cache import INDEX, build_cache
    from finola_codec.training.data import Pictures

    check_folder(out, force=False, own=INDEX)
    if not (out / INDEX).exists():
        build_cache(data, out, ablations.SIDE * ablations.REDUCE)
    pictures = Pictures.open(out, held_out=40)
    if not pictures.held_out:  # a tenth of them are, to measure on
        side = ablations.SIDE * ablations.REDUCE
        raise ConfigError(f"{data}: table {table} needs 10 pictures of {side} x {side} pixels or more")
    click.echo("| growth | C | seed | matrices start as | PSNR, dB | s |\n| --- | --- | --- | --- | --- | --- |")
    rows = {"3": ablations.TABLE_3, "14": ablations.TABLE_14A}[table]
    for found in ablations.run(rows, pictures, steps):
        row = found.row
        where, start = "corner" if row.corner else "centre", "shifts" if row.shifts else "small and random"
        click.echo(f"| {row.growth} | {row.channels} | {where} | {start} | {found.psnr:.2f} | {found.seconds:.0f} |")
