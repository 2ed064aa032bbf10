"""The strict session: float64, no silent promotion, seeded randomness, warnings are errors."""

import os
from pathlib import Path

import jax
import numpy as np
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")

DATA = Path(os.environ.get("JAXSPEC_DATA", Path(__file__).parents[2] / "shared" / "data"))


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
