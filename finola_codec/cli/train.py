"""finola-codec train"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", "run", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--config", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A TOML file.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder of decoded pixels; RUN/cache by default.")
@click.option("--init", help="Start from the weights of this model: a shipped one's name, or a folder.")
@click.option("--resume", is_flag=True, help="Continue the run from its checkpoint.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop after this many more steps.")
@click.option("--max-minutes", type=click.FloatRange(min=0, min_open=True), help="Stop after this time.")
def train(
    data: Path,
    run: Path,
    config: Path | None,
    cache: Path | None,
    init: str | None,
    resume: bool,
    max_steps: int | None,
    max_minutes: float | None,
) -> None:
    """Train a codec on the pictures in and below the folder DATA.

    Interrupted runs continue exactly with --resume; the run's CSV and TensorBoard logs are in its folder.
    """
    from dataclasses import replace

    from finola_codec.nn.restore import restore
    from finola_codec.training.config import load_config
    from finola_codec.training.data import INDEX, Pictures, build_cache
    from finola_codec.training.loop import start

    if init and resume:
        raise click.UsageError("--init starts a run, --resume continues one")
    settings = load_config(config, run if resume else None)
    codec = restore(init) if init else None
    if codec:
        settings = replace(settings, profile=codec.profile)
    cache = cache or run / "cache"
    if not (cache / INDEX).exists():
        build_cache(data, cache, settings.crop)
    trainer = start(settings, run, Pictures.open(cache, settings.held_out), resume, codec)
    trainer.train(max_steps, max_minutes)
