"""Consort's steps as components of Kubeflow Pipelines, a folder each: signature, image, one command of `consort`.

Nothing is imported here: in a running step kfp can define no components, and the step imports `command` from here.
"""
