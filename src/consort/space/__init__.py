"""What a search chooses from, and what it is rewarded for."""
