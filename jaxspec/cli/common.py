"""What the commands share: the group, options, how errors are shown."""

from __future__ import annotations

import atexit
import os
import tempfile
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


def end(*examples):
    """Examples and exit codes, below the options of a command."""
    return "\n  ".join(["\b\nExamples", *examples]) + "\n\n" + _EXIT_CODES


class _Commands(click.Group):
    """Errors become one line on the standard error; ``--debug`` gives the traceback."""

    def invoke(self, ctx):
        """Run a command."""
        _need_home()
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


def _need_home():
    """Make a home for the libraries that cannot live without one, where there is none."""
    try:
        Path.home()
    except RuntimeError:
        home = tempfile.TemporaryDirectory(prefix="jaxspec-home-")
        atexit.register(home.cleanup)
        os.environ["HOME"] = home.name
        text = "jaxspec: warning: there is no home folder (set HOME): nothing is kept between runs"
        click.echo(text, err=True)


def _one_line(message):
    """Message without line breaks; a caret under an expression becomes a number."""
    lines = message.splitlines()
    if len(lines) > 2 and lines[-1].strip() == "^":
        start = len(lines[-2]) - len(lines[-2].lstrip())
        lines[-1] = f"(character {lines[-1].index('^') - start + 1})"
        lines[-3] += ":"
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
overwrite = click.option(
    "--overwrite", is_flag=True, help="Replace files that are there already, of an earlier run."
)
SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


@click.group(
    cls=_Commands,
    context_settings=SETTINGS,
    epilog=end(
        "jaxspec demo",
        "jaxspec inspect FILE",
        "jaxspec fit 'obs/**/xp*_s2.pha*' --model powerlaw --band 3-25 -o fits.ecsv",
    ),
)
@click.version_option(__version__, prog_name="jaxspec")
@debug
def main():
    """Fit hundreds of X-ray spectra in one compiled call."""


def assignment(_, param, values):
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


set_values = click.option(
    "--set",
    "values",
    multiple=True,
    callback=assignment,
    metavar="PAR=VALUE",
    help="Start value of a parameter; may be repeated.",
)
freeze = click.option(
    "--freeze",
    "frozen",
    multiple=True,
    callback=assignment,
    metavar="PAR[=VALUE]",
    help="Keep a parameter fixed; may be repeated.",
)


def check_values(values, frozen):
    """Refuse two values for one parameter; both are pairs of `assignment`."""
    twice = {name for name, _ in values} & {name for name, value in frozen if value is not None}
    for name in sorted(twice):
        raise click.BadParameter(f"{name} has a value by --set and another by --freeze")


def sources(_, param, values):
    """What stands for a link: a path, a dict of NAME=PATH, None for the word none, or "auto"."""
    pairs = [text.partition("=") for text in values]
    if not values:
        return "auto"
    if len(values) == 1 and (not pairs[0][1] or Path(values[0]).exists()):
        return _source(values[0])
    if not all(sign and name.strip() and path for name, sign, path in pairs):
        raise click.BadParameter("give one path, or NAME=PATH for each spectrum", param=param)
    return {name.strip(): _source(path) for name, _, path in pairs}


def _source(text):
    return None if text.strip().lower() == "none" else text


def source_options(command):
    """Options for the files that stand in for what the headers name."""
    for option in (
        click.option(
            "--root",
            metavar="DIR",
            help="Folder of the archive: links may lead anywhere in it, files are found in it.",
        ),
        _source_option("correction", "CORRFILE"),
        _source_option("background", "BACKFILE", "; optional: BACKFILE where it exists"),
        _source_option("arf", "ANCRFILE"),
        _source_option("response", "RESPFILE"),
    ):
        command = option(command)
    return command


def _source_option(name, keyword, more=""):
    return click.option(
        f"--{name}",
        multiple=True,
        callback=sources,
        metavar="PATH",
        help=f"In place of {keyword}: one file for all, a folder of files, or NAME=PATH for each "
        f"spectrum (repeated); none: no {name}{more}.",
    )


def start(no_cache):
    """Keep compiled code between runs, unless that is not wanted."""
    import logging

    # a home that cannot be written to is said once, in our own words
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    if not no_cache:
        from jaxspec._cache import use_compilation_cache

        use_compilation_cache()
