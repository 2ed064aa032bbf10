"""The layout holds: who imports whom, where matplotlib lives, that importing changes nothing."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "jaxspec"

# The steps that data pass through; a module imports only from folders before its own.
FOLDERS = ["read", "reduce", "model", "likelihood", "fit", "sample", "estimate", "report"]
FOLDERS += ["run", "demo", "cli"]
BASE = {"_types", "_numerics", "_constants", "_status", "_text", "_cache", "_callable", "errors"}
BASE |= {"_ask", "_files", "_environment", "_checks", "_units"}

# Owners of their process, and the one explicit call that they make.
MAY_CONFIGURE = {"_cache", "cli"}
GLOBAL_STATE = {"jax.config.update", "os.environ", "os.getenv", "np.seterr", "np.random.seed"}
WARNING_STATE = {"warnings.simplefilter", "warnings.filterwarnings"}

# Where names of components and parameters are given; elsewhere they mean nothing.
CATALOGUE = ("model/catalogue", "model/surface_catalogue", "model/spectral/", "model/image/")
NAMED = {"model", "likelihood", "fit", "sample", "estimate", "report", "run"}


def read(package):
    """Syntax tree of every module: dotted name to (path inside the package, tree)."""
    modules = {}
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        parts = inside.with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        tree = ast.parse(path.read_text(encoding="utf-8"))
        modules[".".join(["jaxspec", *parts])] = (inside, tree)
    return modules


@pytest.fixture(scope="module")
def modules():
    return read(PACKAGE)


def write(folder, **files):
    """Package of the given modules, ``folder__module`` to text, for tests of the checks."""
    for name, text in files.items():
        path = folder / (name.replace("__", "/") + ".py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return read(folder)


def folder_of(inside):
    return inside.with_suffix("").parts[0]


def imports_of(inside, tree):
    """(module, line) of every import, wherever it stands; relative ones made absolute."""
    package = ["jaxspec", *inside.parts[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((name.name, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{module}.{name.name}", node.lineno) for name in node.names)


def attributes(tree):
    """Dotted text of every attribute access, as written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield ast.unparse(node), node.lineno


def listed(offenders):
    return "\n" + "\n".join(offenders)


def against_the_flow(modules):
    """Imports that go down the list of folders, and modules that stand nowhere in it."""
    found = []
    for inside, tree in modules.values():
        own = folder_of(inside)
        if own == "__init__":
            continue
        if own not in {*FOLDERS, *BASE}:
            found.append(f"{inside}: {own} is neither in the list of folders nor a base module")
            continue
        for module, line in imports_of(inside, tree):
            first, _, rest = module.partition(".")
            other = rest.partition(".")[0]
            if first != "jaxspec" or other in BASE | {own, "", "__version__"}:
                continue
            if other not in FOLDERS:
                found.append(f"{inside}:{line} imports {module}, which is in no folder")
            elif own in BASE:
                found.append(f"{inside}:{line} is a base module and imports {module}")
            elif FOLDERS.index(other) > FOLDERS.index(own):
                found.append(f"{inside}:{line} is before {other} and imports {module}")
    return found


def test_imports_follow_the_flow(modules):
    found = against_the_flow(modules)
    assert not found, listed(found)


def test_a_violation_of_the_flow_is_seen(tmp_path):
    text = "def f():\n    from jaxspec.fit import run\n    from ..model import tree\n"
    found = against_the_flow(write(tmp_path, read__x=text, other__y="", fit__z="import jaxspec"))
    assert len(found) == 3


def circles(modules):
    """Groups of modules, in one folder, that import each other; late imports count."""
    graph = {}
    for name, (inside, tree) in modules.items():
        graph[name] = set()
        for module, _ in imports_of(inside, tree):
            while module not in modules and "." in module:
                module = module.rpartition(".")[0]
            if module in modules and folder_of(modules[module][0]) == folder_of(inside):
                graph[name].add(module)

    def reached(start):
        seen, todo = set(), [start]
        while todo:
            new = graph[todo.pop()] - seen
            seen |= new
            todo += new
        return seen

    after = {name: reached(name) for name in graph}
    groups = {frozenset(m for m in after[name] if name in after[m]) for name in graph}
    return sorted(" <-> ".join(sorted(group)) for group in groups if group)


def test_no_circles_inside_a_folder(modules):
    found = circles(modules)
    assert not found, listed(found)


def test_a_circle_is_seen(tmp_path):
    late = "def f():\n    from jaxspec.fit import {}\n"
    chain = {"fit__a": "import jaxspec.fit.b", "fit__b": late.format("c"), "fit__c": "import x"}
    assert circles(write(tmp_path, **chain)) == []
    chain["fit__c"] = "from jaxspec.fit.a import f"
    assert circles(write(tmp_path, **chain)) == [
        "jaxspec.fit.a <-> jaxspec.fit.b <-> jaxspec.fit.c"
    ]


def strings_of(tree):
    """Names in a module that hold a string, or a tuple, list, set or dict of strings."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and holds_strings(node.value, names):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def holds_strings(node, names):
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.Name):
        return node.id in names
    if isinstance(node, ast.Call):  # frozenset(...), set(...), tuple(...)
        return any(holds_strings(a, names) for a in node.args)
    parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
    return any(holds_strings(part, names) for part in parts if part is not None)


def compared_names(modules):
    """Comparisons of an attribute ``.name`` with literal names, outside the catalogue."""
    everywhere = {}  # constants may be imported from another module
    for inside, tree in modules.values():
        for name in strings_of(ast.Module(body=tree.body, type_ignores=[])):
            if name.isupper():
                everywhere[name] = inside
    found = []
    for inside, tree in modules.values():
        if folder_of(inside) not in NAMED or inside.as_posix().startswith(CATALOGUE):
            continue
        names = strings_of(tree) | set(everywhere)
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
            elif isinstance(node, ast.Match):
                patterns = [p for c in node.cases for p in ast.walk(c.pattern)]
                values = [p.value for p in patterns if isinstance(p, ast.MatchValue)]
                sides = [node.subject, *values]
            else:
                continue
            # also p.name.lower() and the like
            is_name = any(
                isinstance(part, ast.Attribute) and part.attr == "name"
                for side in sides
                for part in (side, getattr(getattr(side, "func", None), "value", None))
            )
            if is_name and any(holds_strings(side, names) for side in sides):
                text = ast.unparse(node).partition("\n")[0]
                found.append(f"{inside}:{node.lineno}: {text}")
    return found


def test_names_of_parameters_and_components_carry_no_meaning(modules):
    """A user may call a parameter as he likes; what it means stands in its component."""
    found = compared_names(modules)
    assert not found, listed(found)


def test_a_comparison_with_a_name_is_seen(tmp_path):
    texts = {
        "a": 'p.name == "theta"',
        "b": 'p.name in ("rc", "beta")',
        "c": 'CORES = ("rc",)\nx = [p for p in y if p.name not in CORES]',
        "d": 'KNOWN = frozenset({"a"})\nif component.name in KNOWN: pass',
        "e": '"norm" != p.component.name.lower()',
        "f": 'match p.name:\n    case "rc": pass',
        "g": "from jaxspec.fit.c import CORES\np.name in CORES",
    }
    files = {f"fit__{name}": text for name, text in texts.items()}
    assert len(compared_names(write(tmp_path / "", **files))) == len(texts)
    fine = {"fit__a": "a.name == b.name", "fit__b": 'kind == "add"', "model__catalogue": texts["a"]}
    files = dict.fromkeys(files, "") | fine
    assert compared_names(write(tmp_path, **files)) == []


def test_matplotlib_lives_in_report(modules):
    found = [
        f"{inside}:{line}: {module}"
        for inside, tree in modules.values()
        for module, line in imports_of(inside, tree)
        if module.startswith("matplotlib") and folder_of(inside) != "report"
    ]
    assert not found, listed(found)


def test_only_public_jax(modules):
    found = [
        f"{inside}:{line}: {text}"
        for inside, tree in modules.values()
        for text, line in (*imports_of(inside, tree), *attributes(tree))
        if text.startswith("jax._src")
    ]
    assert not found, listed(found)


def test_no_global_state(modules):
    found = []
    for inside, tree in modules.values():
        if folder_of(inside) in MAY_CONFIGURE:
            continue
        texts = list(attributes(tree))
        # A filter inside ``with warnings.catch_warnings()`` does not outlive its block.
        guarded = "warnings.catch_warnings" in {text for text, _ in texts}
        forbidden = GLOBAL_STATE if guarded else GLOBAL_STATE | WARNING_STATE
        found += [f"{inside}:{line}: {text}" for text, line in texts if text in forbidden]
    assert not found, listed(found)


def files_written(modules):
    """Calls that write a file by its name, which `jaxspec._files` alone may do."""
    found = []
    for inside, tree in modules.values():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or str(inside) == "_files.py":
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            given = [*node.args, *(k.value for k in node.keywords if k.arg == "mode")]
            if name == "open":
                modes = [a.value for a in given if isinstance(a, ast.Constant)]
                writes = any(re.fullmatch("[rwaxbt+]*[wax+][rwaxbt+]*", str(m)) for m in modes)
            elif name in ("writeto", "savefig", "to_netcdf"):
                into = node.args[0] if node.args else None
                writes = ast.unparse(into) not in ("stream", "None") if into else True
            elif name == "write_bytes":
                writes = isinstance(node.func, ast.Attribute)  # of a path
            else:
                writes = name in ("write_text", "tofile", "savetxt", "savez", "rename", "mkstemp")
            if writes:
                found.append(f"{inside}:{node.lineno}: {ast.unparse(node)}")
    return found


def test_only_one_module_writes_files(modules):
    """Which leaves old or new files whatever happens; see test_files.py."""
    found = files_written(modules)
    assert not found, listed(found)


def test_another_writer_is_seen(tmp_path):
    made = write(
        tmp_path,
        fit__a='hdus.writeto(path)\nhdus.writeto(stream)\nopen(p, "rb")\nopen(p, "w")',
        fit__b='p.open("x")\nfigure.savefig(path, dpi=3)\np.write_text(t)\nwrite_bytes(p, raw)',
        fit__c="p.write_bytes(raw)\ntree.to_netcdf(None)\nopen(p, mode='r+b')",
    )
    assert len(files_written(made)) == 7


def test_files_stay_short(modules):
    length = {
        inside: len((PACKAGE / inside).read_text().splitlines()) for inside, _ in modules.values()
    }
    found = [f"{inside}: {n} lines" for inside, n in length.items() if n > 450]
    assert not found, listed(found)


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


def test_names_for_type_checkers_are_the_names_of_the_package():
    """The imports under TYPE_CHECKING in jaxspec/__init__.py say what _HOME says."""
    import jaxspec

    tree = ast.parse(Path(jaxspec.__file__).read_text())
    block = next(
        n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n)
    )
    seen = {a.name: n.module for n in block.body for a in n.names}
    packages = {"fit": "jaxspec.fit.run", "sample": "jaxspec.sample.run"}
    assert seen == jaxspec._HOME | packages
