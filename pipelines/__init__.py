"""Pipelines of Kubeflow Pipelines, made of the components beside this folder."""
