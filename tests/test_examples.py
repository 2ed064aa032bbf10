"""Examples in docstrings are run, those of private modules too."""

import doctest
import importlib
import pkgutil

import matplotlib
import pytest

import jaxspec

FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
MODULES = [m.name for m in pkgutil.walk_packages(jaxspec.__path__, "jaxspec.")]


def examples(name):
    """Docstrings of a module that hold examples."""
    if name.endswith("__main__"):
        return []
    found = doctest.DocTestFinder().find(importlib.import_module(name), name)
    return [test for test in found if test.examples]


@pytest.mark.parametrize("name", [name for name in MODULES if examples(name)])
def test_examples_give_what_they_say(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with matplotlib.rc_context():
        runner = doctest.DocTestRunner(optionflags=FLAGS)
        said = []
        for test in examples(name):
            runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_a_wrong_example_is_found():
    test = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "wrong", None, 0)
    assert doctest.DocTestRunner(optionflags=FLAGS).run(test, out=lambda _: None).failed == 1
