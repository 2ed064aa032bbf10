"""Simulated archives and clusters, and the demonstrations on them."""
