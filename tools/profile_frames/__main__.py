"""`python -m profile_frames`."""

from .build import main

main()
