"""Data: decoded once into arrays with a manifest and a fingerprint, then read by every step.

`image_folder`, `builtin`, `decode`, `prepare` and `prepared` need no torch; `augment` and `batches` feed the training.
"""
