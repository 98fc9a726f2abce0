"""Kubernetes objects as plain dicts: built from a study, and read back. Nothing here talks to a cluster."""
