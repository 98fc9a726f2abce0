"""Ensembles and cascades as array arithmetic: numpy alone."""
