"""Print the oldest versions that pyproject.toml allows, as constraints for pip.

With ``--check``: end with an error unless exactly these versions are installed.
"""

import re
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

EXTRAS = ("bayes", "test")


def oldest() -> dict:
    """Oldest version of every package that is needed to run the tests; all must have one."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    found = {}
    for requirement in [*project["dependencies"], *(r for name in EXTRAS for r in extras[name])]:
        if requirement.startswith(project["name"]):  # another extra of its own
            continue
        match = re.fullmatch(r"([\w.-]+)(?:\[[\w,]+\])?>=([\d.]+)", requirement)
        if match is None:
            sys.exit(f"{requirement}: not of the form name>=version")
        found[match[1]] = match[2]
    return found


def main():
    """Print the constraints, or check what is installed."""
    wrong = []
    for name, bound in oldest().items():
        if "--check" not in sys.argv:
            print(f"{name}=={bound}")
        elif not re.fullmatch(rf"{re.escape(bound)}(\.0)*", version(name)):
            wrong.append(f"{name} {version(name)} is installed, not {bound}")
    sys.exit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
