"""``jaxspec fit``: spectra in, table and figures out."""

from __future__ import annotations

from pathlib import Path

import click

from jaxspec.cli.common import (
    check_values,
    debug,
    end,
    freeze,
    main,
    no_cache,
    overwrite,
    set_values,
    source_options,
    start,
)
from jaxspec.errors import FitError, InputError


@main.command(
    epilog=end(
        "jaxspec fit 'obs/**/xp*_s2.pha*' --model powerlaw --band 3-25 -o fits.ecsv",
        "jaxspec fit 'obs/**/*_s2.pha.gz' --model 'TBabs*(diskbb+powerlaw)' --band 3-25 \\",
        "    --freeze TBabs.nH=0.6 -o fits.fits --plots figures",
        "jaxspec fit src.pha --response x.rmf --arf x.arf --background none -m 'TBabs*powerlaw'",
        "jaxspec fit 'spectra/*.pha' --response rsp/ --background optional -m powerlaw",
        "jaxspec fit a.pha b.pha --model 'phabs*powerlaw' --joint --untie powerlaw.norm",
    )
)
@click.argument("patterns", nargs=-1, required=True, metavar="PATTERN...")
@click.option("--model", "-m", required=True, metavar="EXPR", help="XSPEC expression.")
@click.option("--band", metavar="RANGES", help="Energies to keep, keV: 3-25 or '0.5-3, 4-7'.")
@click.option("--ignore", "ignored", metavar="RANGES", help="Energies to drop, keV.")
@click.option("--ignore-bad", is_flag=True, help="Drop the channels of QUALITY 2 to 4 as well.")
@click.option(
    "--systematic",
    type=click.FloatRange(min=0, max=1, max_open=True),
    metavar="FRACTION",
    help="Systematic error of all channels, in place of SYS_ERR: 0.01 is one per cent. "
    "With it --stat auto takes chi2.",
)
@click.option("--stat", default="auto", show_default=True, help="Statistic; auto asks the files.")
@click.option(
    "--group-min",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Join channels until every bin has N counts.",
)
@set_values
@freeze
@click.option("--abund", default="angr", show_default=True, help="Abundance table.")
@click.option("--xsect", default="vern", show_default=True, help="Photoelectric cross sections.")
@source_options
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
@overwrite
@click.option("--quiet", is_flag=True, help="Print no table.")
@no_cache
@debug
def fit(patterns, no_cache, **options):
    """Read spectra, fit a model to each, print and write the table.

    PATTERN is a file or a quoted pattern, in which ** means folders at any depth; file.pha{2},
    {1-3,5} choose rows or extensions, file.pha[2] an extension. Backgrounds and responses are those
    that the files name. A file that cannot be read becomes a row that says so.
    """
    from jaxspec.fit.run import fit as fit_spectra
    from jaxspec.reduce.spectra import read_pha

    start(no_cache)
    if options["untie"] and not options["joint"]:
        raise click.UsageError("--untie needs --joint")
    _check_outputs(**{key: options[key] for key in ("outputs", "plots", "overwrite")})
    model = _model(options)
    spectra = read_pha(list(patterns), on_error="status", **_sources(options))
    _check_figures(spectra, options["plots"], options["overwrite"])
    spectra = _select(spectra, options)
    joint = {"joint": options["joint"], "untie": options["untie"]}
    result = fit_spectra(model, spectra, options["stat"], **joint)
    _report(result, **{key: options[key] for key in _WRITING})
    if not _usable(result).size:
        raise FitError(f"no usable row: {result.names[0]}: {result.messages[0]}")


_WRITING = ("outputs", "plots", "max_plots", "overwrite", "quiet")


def _model(options):
    from jaxspec.model.model import Model

    check_values(options["values"], options["frozen"])
    model = Model(options["model"], abund=options["abund"], xsect=options["xsect"])
    for name, value in options["values"]:
        model[name].set(value)
    for name, value in options["frozen"]:
        model[name].freeze(value)
    return model


def _sources(options):
    """What stands in for what the headers name."""
    return {key: options[key] for key in ("response", "arf", "background", "correction", "root")}


def _select(spectra, options):
    if options["band"]:
        spectra = spectra.notice(options["band"])
    if options["ignored"]:
        spectra = spectra.ignore(options["ignored"])
    if options["ignore_bad"]:
        spectra = spectra.ignore_bad()
    if options["systematic"] is not None:
        spectra = spectra.systematic(options["systematic"])
    if options["group_min"]:
        spectra = spectra.group(min_counts=options["group_min"])
    return spectra


def _check_outputs(outputs, plots, overwrite):
    """Find out before the fit whether its table and figures can be written."""
    from jaxspec.fit.tables import check_path

    for path in outputs:
        check_path(path, overwrite)
    if plots and plots.is_dir():
        from jaxspec.report.save import drawn_before

        if not (old := drawn_before(plots)):
            return
        what = f"holds {len(old)} figures of an earlier run"
        if not overwrite:
            remedy = "give another --plots, or --overwrite to replace them"
            raise InputError(what, file=plots, remedy=remedy)
        click.echo(f"{plots}/ {what}: they are replaced")


def _check_figures(spectra, plots, overwrite):
    """Find out whether figures would have the name of a file that is not theirs."""
    if not plots:
        return
    from jaxspec._files import check_free, make_folder
    from jaxspec.report.save import figure_names, file_name

    make_folder(plots)
    names = figure_names("spectra", "fits")
    for name in spectra.names:
        names += figure_names("fit", prefix=f"{file_name(name)}_")
    for name in names:
        check_free(plots / name, overwrite)


def _draw(result, plots, max_plots, overwrite):
    """Draw all figures, and remove those of an earlier run that were not drawn again."""
    from jaxspec.report.save import drawn_before, file_name, save

    old = drawn_before(plots)
    drawn = save(result.spectra, plots, overwrite=overwrite)
    drawn += save(result, plots, overwrite=overwrite)
    for row in _usable(result)[:max_plots]:
        drawn += save(result, plots, f"{file_name(result.names[row])}_", row, overwrite)
    for name in set(old) - set(drawn):
        (plots / name).unlink()
    return len(drawn)


def _usable(result):
    import numpy as np

    return np.flatnonzero(result.usable)


def _report(result, outputs, plots, max_plots, overwrite, quiet):
    from jaxspec.fit.summary import reasons
    from jaxspec.report.text import screen_table

    for path in outputs:
        result.write(path, overwrite)
    drawn = _draw(result, plots, max_plots, overwrite) if plots else 0
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
