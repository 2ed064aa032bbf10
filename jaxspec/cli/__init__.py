"""The command ``jaxspec``: parse, call the library, print, exit code."""

from jaxspec.cli import demo, fit, image, look
from jaxspec.cli.common import main

__all__ = ["demo", "fit", "image", "look", "main"]
