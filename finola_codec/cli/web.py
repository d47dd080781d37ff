"""finola-codec web"""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="OUT", type=click.Path(file_okay=False, path_type=Path))
@click.option("--model", "models", multiple=True, help="Model to serve, by name or folder; repeat for several.")
@click.option(
    "--runtime",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder dist of the npm package onnxruntime-web; without it npm fetches the package.",
)
def web(folder: Path, models: tuple[str, ...], runtime: Path | None) -> None:
    """Write a folder that any static web server serves: a page that shows .fin pictures, and all it needs.

    Other pages use its fin-img.js and finola-codec.js. With the headers Cross-Origin-Opener-Policy: same-origin and
    Cross-Origin-Embedder-Policy: require-corp a page decodes with several threads.
    """
    from finola_codec import web as site
    from finola_codec.runtime.model import DEFAULT_MODEL, load_model

    site.write(folder, [load_model(name) for name in models or (DEFAULT_MODEL,)], runtime)
    click.echo(f"{folder}: try it with python -m http.server --directory {folder}")
