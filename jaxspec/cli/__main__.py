"""``python -m jaxspec.cli``."""

from jaxspec.cli import main

main(prog_name="jaxspec")
