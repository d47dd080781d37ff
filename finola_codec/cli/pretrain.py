"""finola-codec pretrain"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from finola_codec.cli import options

METHODS = ("finola", "masked-finola-e", "masked-finola-b", "qb-heat", "itpn", "fast-itpn")


@click.command()
@click.argument("pictures", type=click.Path(exists=True, path_type=Path))
@click.option("--out", "run", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--method", required=True, type=click.Choice(METHODS), help="What is predicted from what.")
@click.option("--minutes", type=options.POSITIVE, help="How long the run lasts.")
@click.option("--steps", type=click.IntRange(min=1), help="How many steps the run lasts.")
@click.option("--set", "settings", multiple=True, metavar="FIELD=VALUE", help="Set a field of the configuration.")
@click.option("--cache", type=click.Path(path_type=Path), help="Folder of decoded pixels; RUN/cache by default.")
@click.option("--resume", is_flag=True, help="Continue the run from its checkpoint.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop for now after this many more steps.")
def pretrain(
    pictures: Path,
    run: Path,
    method: str,
    minutes: float | None,
    steps: int | None,
    settings: tuple[str, ...],
    cache: Path | None,
    resume: bool,
    max_steps: int | None,
) -> None:
    """Learn features from PICTURES without labels; `probe` says what they are worth.

    PICTURES are as for `train`, and so are the run's folder, its logs and --resume. Of all methods but iTPN's, the
    encoder can be what finola-256 starts from: `train --encoder RUN`.
    """
    from finola_codec.pretraining.config import PretrainConfig
    from finola_codec.pretraining.methods import start
    from finola_codec.training.cache import INDEX, build_cache
    from finola_codec.training.config import saved, with_settings
    from finola_codec.training.data import Pictures

    if minutes and steps:
        raise click.UsageError("--minutes and --steps contradict each other")
    duration = [f"minutes={minutes}"] if minutes else ["minutes=0", f"steps={steps}"] if steps else []
    base = saved(PretrainConfig, run) if resume else PretrainConfig(method=method)
    chosen = with_settings(base, [f"method={method}", *duration, *settings])
    cache = cache or run / "cache"
    if not (cache / INDEX).exists():
        build_cache(pictures, cache, chosen.crop)
    trainer = start(chosen, run, Pictures.open(cache, chosen.held_out), resume)
    if trainer.train(max_steps) == signal.SIGINT:
        sys.exit(128 + signal.SIGINT)
