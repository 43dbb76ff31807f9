"""What starts the program and outlives every update: it imports nothing of the program, and is never updated by air."""
