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
@options.running
@click.option("--method", required=True, type=click.Choice(METHODS), help="What is predicted from what.")
def pretrain(
    pictures: Path,
    run: Path,
    method: str,
    settings: list[str],
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
    from finola_codec.training.cache import ensure_cache
    from finola_codec.training.config import saved, with_settings
    from finola_codec.training.data import Pictures

    base = saved(PretrainConfig, run) if resume else PretrainConfig(method=method)
    chosen = with_settings(base, [f"method={method}", *settings])
    cache = cache or run / "cache"
    ensure_cache(pictures, cache, chosen.crop)
    trainer = start(chosen, run, Pictures.open(cache, chosen.held_out), resume)
    if trainer.train(max_steps) == signal.SIGINT:
        sys.exit(128 + signal.SIGINT)
