"""The suite itself: the same for everybody, and with versions that are true."""

import os
import subprocess
import sys
from pathlib import Path

import hypothesis
import pytest

OLDEST = Path(__file__).parents[1] / ".ci" / "oldest.py"


def test_property_tests_have_the_same_examples_everywhere():
    assert hypothesis.settings().derandomize and hypothesis.settings().database is None


def test_another_seed_of_hypothesis_changes_nothing(tmp_path):
    """What --hypothesis-seed says does not reach the examples, nor does CI=1."""
    text = (
        "from hypothesis import given, strategies as st\n"
        "@given(st.integers())\n"
        "def test_seen(n):\n"
        "    with open('seen', 'a') as out:\n"
        "        print(n, file=out)\n"
    )
    (tmp_path / "test_it.py").write_text(text)
    (tmp_path / "conftest.py").write_text(Path(__file__).with_name("conftest.py").read_text())
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    seen = []
    for seed in ("0", "7"):
        (tmp_path / "seen").unlink(missing_ok=True)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        done = subprocess.run(
            [*command, f"--hypothesis-seed={seed}", "test_it.py"],
            cwd=tmp_path,
            env=os.environ | {"CI": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        seen.append((tmp_path / "seen").read_text())
    assert seen[0] == seen[1] and seen[0].count("\n") > 50


@pytest.mark.skipif(not OLDEST.exists(), reason="needs the checkout")
def test_every_requirement_has_an_oldest_version():
    done = subprocess.run(
        [sys.executable, OLDEST], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line in ("jax==0.8", "numpyro==0.19", "matplotlib==3.10", "corner==2.2.2"):
        assert line in done
