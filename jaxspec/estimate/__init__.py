"""What follows from a model or a fit: simulated spectra and archives."""
