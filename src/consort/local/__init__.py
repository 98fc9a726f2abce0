"""The local target: the steps as processes on this machine."""
