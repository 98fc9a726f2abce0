"""A choice as files that run, and the proof that they do what was said."""
