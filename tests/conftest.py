"""The strict session: float64, no silent promotion, seeded randomness, warnings are errors."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")

# What draws from posteriors is lenient: numpyro's sampler adds integers to floats.
LENIENT = {"sample", "demo", "report", "run", "test_cli.py", "test_cli_image.py"}
LENIENT |= {"test_compare.py", "test_image_input.py", "test_image_real_data.py"}

DATA = Path(os.environ.get("JAXSPEC_DATA", Path(__file__).parents[2] / "shared" / "data"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Before the fixtures: the settings of one test, for its threads too."""
    lenient = LENIENT & set(item.path.parts)
    jax.config.update("jax_numpy_dtype_promotion", "standard" if lenient else "strict")


@pytest.fixture
def rng():
    """A generator with a fixed seed."""
    return np.random.default_rng(20240607)


@pytest.fixture(scope="session")
def data_dir():
    """Folder of real data; the test is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip(f"needs the reference data: {DATA} does not exist (set JAXSPEC_DATA)")
    return DATA


@pytest.fixture(scope="session")
def reference_dir(data_dir):
    """Folder of reference values beside the data."""
    folder = data_dir.parent / "reference"
    if not folder.is_dir():
        pytest.skip(f"needs the reference values: {folder} does not exist")
    return folder
