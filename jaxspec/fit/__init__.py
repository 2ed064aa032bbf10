"""The batched fit: starts, minimiser, covariance, results."""
