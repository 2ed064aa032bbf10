"""Versions, and the package that takes the same import name."""

import warnings

import pytest

from jaxspec import __version__
from jaxspec._environment import imported, versions
from jaxspec.errors import InputError
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


def test_packages_that_announce_their_future_are_imported_in_silence(tmp_path, monkeypatch):
    """On the first import of a day ArviZ warns: in a fresh home figures and tests ended there."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "of_tomorrow.py").write_text(
        "import warnings\nwarnings.warn('soon', FutureWarning)\nx = 1\n"
    )
    (tmp_path / "that_writes.py").write_text("raise PermissionError(13, 'denied', '/home')\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert imported("of_tomorrow").x == 1
    with pytest.raises(InputError, match="that_writes cannot be imported: .*denied.*XDG_CACHE_HO"):
        imported("that_writes")
    with pytest.raises(ImportError):
        imported("that_is_not_there")
