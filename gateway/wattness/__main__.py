"""`python -m wattness` is `wattness`."""

from .cli import main

main()
