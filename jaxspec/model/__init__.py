"""Model kernels for one spectrum, component trees, parameters."""
