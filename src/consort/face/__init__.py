"""What a Python program calls, as a shell calls the commands of cli: it reads the environment, and decides nothing."""
