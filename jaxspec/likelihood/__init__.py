"""Fit statistics per bin, and the objective of one lane."""
