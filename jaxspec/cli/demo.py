"""``jaxspec demo``: simulate, fit, say what was found and whether it is true."""

from __future__ import annotations

from pathlib import Path

import click

from jaxspec.cli.common import debug, end, main, no_cache, start


@main.command(
    epilog=end(
        "jaxspec demo",
        "jaxspec demo rxte --out somewhere -n 50",
        "jaxspec demo image --out cluster",
        "jaxspec demo image --out small --size 200 --draws 200",
    )
)
@click.argument("what", default="rxte", type=click.Choice(["rxte", "image"]))
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder, new or of an earlier demonstration.  [default: jaxspec-demo or "
    "jaxspec-demo-image]",
)
@click.option("-n", type=click.IntRange(min=8), help="rxte: observations.  [default: 300]")
@click.option(
    "--size", type=click.IntRange(64, 8192), help="image: pixels on a side.  [default: 883]"
)
@click.option(
    "--draws", type=click.IntRange(min=4), help="image: draws of each chain.  [default: 1000]"
)
@click.option("--seed", default=1, show_default=True, help="Equal seeds give equal data.")
@no_cache
@debug
def demo(what, out, n, size, draws, seed, no_cache):
    """Simulate data, fit them and say what was found.

    rxte: an archive of 300 RXTE PCA observations, fitted spectrum by spectrum. image: a cluster of
    galaxies, of which a beta and a double beta model are sampled and compared.

    Writes the data, tables, figures and summary.json to the folder.
    """
    own = {"rxte": {"n": n}, "image": {"size": size, "draws": draws}}
    options = {key: value for key, value in own.pop(what).items() if value is not None}
    for foreign in own.values():
        for key, value in foreign.items():
            if value is not None:
                dash = "-n" if key == "n" else f"--{key}"
                raise click.UsageError(f"{dash} does not belong to the demonstration {what!r}")
    start(no_cache)
    if what == "image":
        from jaxspec.demo.image import run_image_demo as run
    else:
        from jaxspec.demo.rxte import run_demo as run
    run(out or f"jaxspec-demo{'-image' * (what == 'image')}", seed=seed, say=click.echo, **options)
