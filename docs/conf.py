"""Sphinx configuration; the table of models and the table of codes are made from the code."""

from importlib.metadata import version as _version
from pathlib import Path

project = "jaxspec"
author = "The jaxspec founders"
copyright = author
release = _version("jaxspec-engine")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "jaxspec"
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
nitpicky = False
# words in types, such as "(x, y) in pixels", are taken for names of attributes
suppress_warnings = ["ref.python"]

GENERATED = Path(__file__).parent / "_generated"
exclude_patterns.append("_generated")  # included by pages, not pages themselves
KINDS = {
    "add": "Additive",
    "mul": "Multiplicative",
    "con": "Convolution",
    "image": "Image components",
}


def _limits(parameter):
    if parameter.switch:
        return f"{parameter.default:g} (switch)"
    text = f"{parameter.default:g} [{parameter.hard_min:g}, {parameter.hard_max:g}]"
    return f"{text} {parameter.unit}".strip() + (" frozen" if parameter.frozen else "")


def _models_page():
    from jaxspec.model.catalogue import CATALOGUE
    from jaxspec.model.surface_catalogue import SURFACES

    lines = []
    for kind, title in KINDS.items():
        lines += [f"## {title}", "", "| model | parameters: default [hard limits] | source |"]
        lines += ["|---|---|---|"]
        for component in (*CATALOGUE, *SURFACES):
            if kind != ("image" if component.domain == "image" else component.kind):
                continue
            shown = [p for p in component.parameters if p.name != "norm" or kind != "add"]
            cells = "<br>".join(f"`{p.name}` {_limits(p)}" for p in shown) or "none"
            text = f"**{component.name}**<br>{component.summary}"
            row = (text, cells, component.reference)
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |")
        lines.append("")
    return "\n".join(lines)


def _status_page():
    from jaxspec import Status

    lines = ["| code | status | meaning |", "|---|---|---|"]
    lines += [f"| {int(s)} | `{s.name}` | {s.sentence} |" for s in Status]
    return "\n".join(lines) + "\n"


def _generate(_app):
    GENERATED.mkdir(exist_ok=True)
    for name, text in (("models.md", _models_page()), ("status.md", _status_page())):
        (GENERATED / name).write_text(text, encoding="utf-8")


def setup(app):
    """Write the generated tables before Sphinx reads the pages."""
    app.connect("builder-inited", _generate)
