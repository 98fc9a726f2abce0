"""Training and predicting members."""
