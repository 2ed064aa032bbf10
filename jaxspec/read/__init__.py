"""Bytes to frozen NumPy dataclasses: OGIP spectra and responses."""
