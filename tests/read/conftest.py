"""Fixtures of the tests of the readers."""

import pytest


@pytest.fixture
def put(tmp_path):
    """Write bytes under a name in a folder of the test; gives the path."""

    def put(name, raw):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        return str(path)

    return put
