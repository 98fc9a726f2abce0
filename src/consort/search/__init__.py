"""Looking for architectures: trials, arms, winners."""
