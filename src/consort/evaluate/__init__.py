"""The step from logits to tables."""
