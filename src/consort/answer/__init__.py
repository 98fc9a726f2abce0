"""What to deploy within a budget, against what, and how sure that is."""
