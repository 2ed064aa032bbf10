"""The command ``jaxspec``: parse, call the library, print, exit code."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import click

from jaxspec import __version__
from jaxspec.errors import FitError, InputError, MissingExtraError

_EXIT_CODES = """\b
Exit codes
  0  done; of a fit: at least one row has a usable result
  1  it could not be done: an error in the input, or no usable row
  2  wrong usage"""


def _end(*examples):
    """Examples and exit codes, below the options of a command."""
    return "\n  ".join(["\b\nExamples", *examples]) + "\n\n" + _EXIT_CODES


class _Commands(click.Group):
    """Errors become one line on the standard error; ``--debug`` gives the traceback."""

    def invoke(self, ctx):
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            expected = isinstance(error, InputError | FitError | MissingExtraError | OSError)
            if ctx.meta.get("jaxspec.debug"):
                traceback.print_exc()
            else:
                text = _one_line(str(error))
                text = text if expected else f"{type(error).__name__}: {text} (--debug says where)"
                click.echo(f"jaxspec: error: {text}", err=True)
            ctx.exit(1)


def _one_line(message):
    """Message without line breaks; a caret under an expression becomes a number."""
    lines = message.splitlines()
    if len(lines) > 2 and lines[-1].strip() == "^":
        start = len(lines[-2]) - len(lines[-2].lstrip())
        lines[-1] = f"(character {lines[-1].index('^') - start + 1})"
    return " ".join(" ".join(lines).split())


def _remember_debug(ctx, _, value):
    if value:
        ctx.meta["jaxspec.debug"] = True


debug = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_remember_debug,
    help="On an error, show the traceback.",
)
no_cache = click.option(
    "--no-cache", is_flag=True, help="Do not keep compiled code in the user's cache folder."
)
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(
    cls=_Commands,
    context_settings=SETTINGS,
    epilog=_end(
        "jaxspec demo",
        "jaxspec inspect FILE",
        "jaxspec fit 'obs/**/xp*_s2.pha*' --model powerlaw --band 3-25 -o fits.ecsv",
    ),
)
@click.version_option(__version__, prog_name="jaxspec")
@debug
def main():
    """Fit hundreds of X-ray spectra in one compiled call."""


def _assignment(_, param, values):
    """Split PAR=VALUE; for --freeze the value may be left out."""
    pairs = []
    for text in values:
        name, sign, value = text.partition("=")
        try:
            number = float(value) if sign else None
        except ValueError:
            raise click.BadParameter(f"{value!r} in {text!r} is not a number") from None
        if not name.strip() or (not sign and param.name == "values"):
            raise click.BadParameter(f"{text!r} is not of the form PAR=VALUE")
        pairs.append((name.strip(), number))
    return pairs


@main.command(
    epilog=_end(
        "jaxspec fit 'obs/**/xp*_s2.pha*' --model powerlaw --band 3-25 -o fits.ecsv",
        "jaxspec fit 'obs/**/*_s2.pha.gz' --model 'TBabs*(diskbb+powerlaw)' --band 3-25 \\",
        "    --freeze TBabs.nH=0.6 -o fits.fits --plots figures",
        "jaxspec fit src.pha --response x.rmf --arf x.arf --background none -m 'TBabs*powerlaw'",
        "jaxspec fit a.pha b.pha --model 'phabs*powerlaw' --joint --untie powerlaw.norm",
    )
)
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
@click.option("--model", "-m", required=True, metavar="EXPR", help="XSPEC expression.")
@click.option("--band", metavar="RANGES", help="Energies to keep, keV: 3-25 or '0.5-3, 4-7'.")
@click.option("--ignore", "ignored", metavar="RANGES", help="Energies to drop, keV.")
@click.option("--stat", default="auto", show_default=True, help="Statistic; auto asks the files.")
@click.option(
    "--group-min",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Join channels until every bin has N counts.",
)
@click.option(
    "--set",
    "values",
    multiple=True,
    callback=_assignment,
    metavar="PAR=VALUE",
    help="Start value of a parameter; may be repeated.",
)
@click.option(
    "--freeze",
    "frozen",
    multiple=True,
    callback=_assignment,
    metavar="PAR[=VALUE]",
    help="Keep a parameter fixed; may be repeated.",
)
@click.option("--abund", default="angr", show_default=True, help="Abundance table.")
@click.option("--xsect", default="vern", show_default=True, help="Photoelectric cross sections.")
@click.option("--response", metavar="FILE", help="Response for all, in place of RESPFILE; or none.")
@click.option("--arf", metavar="FILE", help="Area file for all, in place of ANCRFILE; or none.")
@click.option("--background", metavar="FILE", help="Background for all, or none; not BACKFILE.")
@click.option("--joint", is_flag=True, help="Fit all spectra together.")
@click.option(
    "--untie",
    multiple=True,
    metavar="PAR",
    help="With --joint: a parameter that each spectrum has for itself.",
)
@click.option(
    "-o",
    "--out",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Table to write: .ecsv, .fits or .parquet; may be repeated.",
)
@click.option(
    "--plots",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder for figures.",
)
@click.option(
    "--max-plots",
    default=10,
    show_default=True,
    type=click.IntRange(min=0),
    help="Rows that get figures of their own.",
)
@click.option("--quiet", is_flag=True, help="Print no table.")
@no_cache
@debug
def fit(patterns, no_cache, **options):
    """Read spectra, fit a model to each, print and write the table.

    PATTERN is a file or a quoted pattern, in which ** means folders at any depth. Backgrounds and
    responses are those that the files name. A file that cannot be read becomes a row that says so.
    """
    from jaxspec.fit.run import fit as fit_spectra
    from jaxspec.reduce.spectra import read_pha

    _start(no_cache)
    if options["untie"] and not options["joint"]:
        raise click.UsageError("--untie needs --joint")
    _check_outputs(options["outputs"])
    model = _model(options)
    spectra = read_pha(list(patterns), on_error="status", **_sources(options))
    spectra = _select(spectra, options)
    joint = {"joint": options["joint"], "untie": options["untie"]}
    result = fit_spectra(model, spectra, options["stat"], **joint)
    _report(result, **{key: options[key] for key in ("outputs", "plots", "max_plots", "quiet")})
    if not _usable(result).size:
        raise FitError(f"no usable row: {result.names[0]}: {result.messages[0]}")


def _start(no_cache):
    if not no_cache:
        from jaxspec._cache import use_compilation_cache

        use_compilation_cache()


def _model(options):
    from jaxspec.model.model import Model

    model = Model(options["model"], abund=options["abund"], xsect=options["xsect"])
    for name, value in options["values"]:
        model[name].set(value)
    for name, value in options["frozen"]:
        model[name].freeze(value)
    return model


def _sources(options):
    """Files that stand in for what the headers name; the word none means: leave it out."""
    given = {key: options[key] for key in ("response", "arf", "background")}
    return {
        key: None if value.lower() == "none" else value for key, value in given.items() if value
    }


def _select(spectra, options):
    if options["band"]:
        spectra = spectra.notice(options["band"])
    if options["ignored"]:
        spectra = spectra.ignore(options["ignored"])
    if options["group_min"]:
        spectra = spectra.group(min_counts=options["group_min"])
    return spectra


def _check_outputs(outputs):
    """Find out before the fit whether its table can be written."""
    from jaxspec.fit.result import FORMATS

    for path in outputs:
        if path.suffix not in FORMATS:
            known = ", ".join(FORMATS)
            raise InputError(
                f"the ending {path.suffix!r} is not known", file=path, remedy=f"use {known}"
            )
        if not path.parent.is_dir():
            raise InputError("the folder does not exist", file=path, remedy="create it first")


def _usable(result):
    import numpy as np

    return np.flatnonzero(np.isin(result.status, result.USABLE))


def _report(result, outputs, plots, max_plots, quiet):
    from jaxspec.fit.summary import reasons
    from jaxspec.report.text import screen_table

    for path in outputs:
        result.write(path)
    drawn = 0
    if plots:
        from jaxspec.report.save import save_fit, save_overview, save_spectra

        plots.mkdir(parents=True, exist_ok=True)
        drawn = len(save_spectra(result.spectra, plots) + save_overview(result, plots))
        for row in _usable(result)[:max_plots]:
            drawn += len(save_fit(result, row, plots))
    if quiet:
        return
    click.echo(screen_table(result))
    for line in reasons(result):
        click.echo(line)
    for sentence, rows in result.notes.items():
        click.echo(f"{sentence} ({rows} rows)")
    click.echo(f"fitted in {result.settings['seconds']:.2f} s")
    if outputs:
        click.echo(f"wrote {', '.join(map(str, outputs))}")
    if plots:
        click.echo(f"wrote {drawn} figures to {plots}/")


@main.command(
    epilog=_end(
        "jaxspec inspect xp90058110300_s2.pha.gz",
        "jaxspec inspect 'acis.pha{3}' acis.rmf acis.arf",
    )
)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@debug
def inspect(files):
    """Say what a spectrum, response or area file holds, and what was assumed."""
    from jaxspec.report.describe import describe_file

    failed = 0
    for file in files:
        try:
            click.echo(describe_file(file))
        except InputError as error:
            if len(files) == 1:
                raise
            click.echo(f"jaxspec: error: {error}", err=True)
            failed += 1
    if failed:
        click.get_current_context().exit(1)


@main.command(
    epilog=_end(
        "jaxspec simulate archive",
        "jaxspec simulate archive -n 20 --seed 7 --flaws",
    )
)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), metavar="DIR")
@click.option(
    "-n", default=300, show_default=True, type=click.IntRange(min=1), help="Observations."
)
@click.option("--seed", default=1, show_default=True, help="Equal seeds give equal files.")
@click.option("--flaws", is_flag=True, help="Spoil four observations, each in another way.")
@no_cache
@debug
def simulate(folder, n, seed, flaws, no_cache):
    """Write a simulated archive of RXTE PCA standard products, with a table of its truths."""
    from jaxspec.estimate.pca_archive import simulate_archive

    _start(no_cache)
    truth = simulate_archive(folder, n=n, seed=seed, flaws=flaws)
    click.echo(f"wrote {len(truth)} observations and truth.ecsv to {folder}/")
    click.echo(
        f"fit them with: jaxspec fit '{folder}/*/stdprod/xp*_s2.pha.gz' --band 3-25 "
        "--model 'TBabs*(diskbb+powerlaw)' --freeze TBabs.nH=0.6"
    )


@main.command(
    epilog=_end(
        "jaxspec models",
        "jaxspec models diskbb",
    )
)
@click.argument("name", required=False)
@debug
def models(name):
    """List the models; with NAME, the parameters of one with units, defaults and limits."""
    from jaxspec.report.models import list_models, show_model

    click.echo(show_model(name) if name else list_models())


@main.command(
    epilog=_end(
        "jaxspec info",
    )
)
@debug
def info():
    """Versions, devices, the cache folder; warns if another package takes the same name."""
    from jaxspec._cache import use_compilation_cache
    from jaxspec.report.environment import devices, namesake_warning, versions

    for name, version in versions().items():
        click.echo(f"{name:<16} {version}")
    click.echo(f"{'installed in':<16} {Path(__file__).parent}")
    click.echo(f"{'devices':<16} {', '.join(devices())}")
    folder = use_compilation_cache()
    files = [file.stat().st_size for file in folder.iterdir() if file.is_file()]
    click.echo(f"{'cache':<16} {folder} ({len(files)} files, {sum(files) / 1e6:.1f} MB)")
    if warning := namesake_warning():
        click.echo(f"jaxspec: warning: {warning}", err=True)


@main.command(
    epilog=_end(
        "jaxspec demo",
        "jaxspec demo rxte --out somewhere -n 50",
    )
)
@click.argument("what", default="rxte", type=click.Choice(["rxte"]))
@click.option(
    "--out",
    default="jaxspec-demo",
    show_default=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Folder, new or of an earlier demonstration.",
)
@click.option(
    "-n", default=300, show_default=True, type=click.IntRange(min=8), help="Observations."
)
@click.option("--seed", default=1, show_default=True, help="Equal seeds give equal archives.")
@no_cache
@debug
def demo(what, out, n, seed, no_cache):
    """Simulate an archive of RXTE PCA observations, fit it and say what was found.

    Writes the archive, tables, figures and summary.json to the folder.
    """
    from jaxspec.report.demo import run_demo

    _start(no_cache)
    run_demo(out, n=n, seed=seed, say=click.echo)


if __name__ == "__main__":
    sys.exit(main())
