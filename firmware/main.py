"""The board's `/main.py`: starts the program, wherever it is, in ROM or on the file system."""

from wattboard.main import main

main()
