"""Versions, and the package that takes the same import name."""

from jaxspec import __version__
from jaxspec._environment import versions
from jaxspec.run.environment import namesake_warning


def test_versions_name_the_distribution():
    assert versions()["jaxspec-engine"] in (__version__, "not installed")


def test_namesake_is_reported(monkeypatch):
    from jaxspec.run import environment

    class Other:
        version = "9.9"

    monkeypatch.setattr(environment, "distribution", lambda name: Other())
    assert "9.9" in namesake_warning() and "pip uninstall" in namesake_warning()

    def absent(name):
        raise environment.PackageNotFoundError(name)

    monkeypatch.setattr(environment, "distribution", absent)
    assert namesake_warning() == ""
