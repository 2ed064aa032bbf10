"""What follows from a model or a fit: simulated data, comparison."""
