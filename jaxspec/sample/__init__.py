"""Draw from the posterior: sampling, its diagnostics, and what it hands back."""
