"""The layout holds: who imports whom, where matplotlib lives, that importing changes nothing."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "jaxspec"

# The steps that data pass through; a module imports only from folders before its own.
FOLDERS = ["archive", "read", "reduce", "model", "likelihood", "fit", "sample", "estimate"]
FOLDERS += ["explore", "report", "run", "demo", "cli"]
BASE = {"_callable", "_types", "_numerics", "_constants", "_status", "_text", "_cache", "errors"}
MODULES = sorted(PACKAGE.rglob("*.py"))

# Owners of their process, and the one explicit call that they make.
MAY_CONFIGURE = {"_cache.py", "cli.py"}


def folder_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports_of(path):
    """(module, line) of every import, wherever it stands; relative ones made absolute."""
    package = ["jaxspec", *path.relative_to(PACKAGE).parts[:-1]]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{module}.{name.name}", node.lineno) for name in node.names)


def violations(path):
    """Imports of ``path`` that go down or across the list of folders."""
    own = folder_of(path)
    found = []
    for module, line in imports_of(path):
        parts = module.split(".")
        if parts[0] != "jaxspec" or len(parts) < 2 or parts[1] in BASE | {own}:
            continue
        if own in BASE:
            found.append(f"line {line}: a base module imports {module}")
        elif own == "__init__":
            continue
        elif parts[1] in FOLDERS and FOLDERS.index(parts[1]) > FOLDERS.index(own):
            found.append(f"line {line}: {own} is before {parts[1]} and imports {module}")
        elif parts[1] not in FOLDERS and parts[1] != "__version__":
            found.append(
                f"line {line}: {module} is neither in the list of folders nor a base module"
            )
    return found


def attributes(path):
    """Dotted text of every attribute access, as written."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno


def name_of(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_follow_the_flow(path):
    assert folder_of(path) in {*FOLDERS, *BASE, "__init__", "__main__"}
    assert violations(path) == []


def test_a_violation_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    (tmp_path / "read").mkdir()
    path = tmp_path / "read" / "x.py"
    path.write_text("def f():\n    from jaxspec.fit import run\n    from ..model import tree\n")
    assert len(violations(path)) == 2


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_matplotlib_lives_in_report(path):
    if folder_of(path) != "report":
        assert [line for module, line in imports_of(path) if module.startswith("matplotlib")] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_only_public_jax(path):
    hidden = [module for module, _ in imports_of(path) if module.startswith("jax._src")]
    hidden += [text for text, _ in attributes(path) if text.startswith("jax._src")]
    assert hidden == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_global_state(path):
    if path.name in MAY_CONFIGURE or folder_of(path) == "cli":
        return
    forbidden = (
        "jax.config.update",
        "os.environ",
        "os.getenv",
        "np.seterr",
        "warnings.simplefilter",
    )
    forbidden += ("np.random.seed", "warnings.filterwarnings")
    found = [f"line {line}: {text}" for text, line in attributes(path) if text in forbidden]
    # A filter inside ``with warnings.catch_warnings()`` does not outlive its block.
    if "catch_warnings" in path.read_text(encoding="utf-8"):
        found = [text for text in found if "warnings." not in text]
    assert found == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light_and_leaves_jax_alone():
    heavy = run_python(
        "import sys, jaxspec\n"
        "heavy = {'jax', 'astropy', 'matplotlib', 'scipy', 'pyarrow', 'numpyro'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    assert heavy == "[]"


def test_public_names_load_and_set_nothing():
    text = run_python(
        "import sys, warnings, jax, numpy\n"
        "def state(): return dict(jax.config.values), numpy.geterr(), warnings.filters[:]\n"
        "before = state()\n"
        "import jaxspec\n"
        "for name in jaxspec.__all__: getattr(jaxspec, name)\n"
        "after = state()\n"
        "changed = [k for k in before[0] if before[0][k] != after[0][k]]\n"
        "print(changed, before[1] == after[1], 'matplotlib.pyplot' in sys.modules)"
    )
    assert text == "[] True False"


def test_reading_does_not_import_jax():
    text = run_python(
        "import sys\n"
        "import jaxspec.read.ogip, jaxspec.reduce.spectra, jaxspec.reduce.group\n"
        "print('jax' in sys.modules)"
    )
    assert text == "False"
