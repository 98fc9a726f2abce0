"""Networks by name, and how they are run."""
