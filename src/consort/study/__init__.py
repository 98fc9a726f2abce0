"""The study file, one table a module."""
