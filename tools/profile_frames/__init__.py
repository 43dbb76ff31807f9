"""Makes the profiles' frames: requests and answers built by pymodbus from plain figures, with the values they give.

`python -m profile_frames` writes firmware/profiles/frames/*.json. Nothing of ours takes part: addresses, types and
expected values stand in these modules by hand, as the device's documents give them, so that the test which replays
the frames through our own planner, reader and profiles compares two independent works.
"""
