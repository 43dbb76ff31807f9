"""Whether the IDF's own heap, from which radios and TLS take, has room for them: refused in words before it crashes.

The needs are estimates with a margin, not measured here: on an ESP32 Wi-Fi was seen to take 20 KB and a TLS session
33 KB, the largest piece of it a record of 16 KB; what NimBLE takes is known by hearsay only.
"""

NEEDS = {"tls": (36000, 17500), "ble": (50000, 16000), "wifi": (21000, 4000)}  # bytes in all, the largest piece of them
RESERVE_BYTES = 16000  # stays free for Wi-Fi's packets


def refusal(uses, regions, health):
    """Return why the first of `uses` cannot begin where the others have to fit as well, or None.

    The health records say so for as long as it lasts. `regions` are pairs of (free bytes, largest free piece), or None
    where nobody knows.
    """
    reason = None if regions is None else short(uses, regions)
    health.tell("no_room_" + uses[0], reason)
    if reason is not None:
        health.count("preflight_refusals")
    return reason


def short(uses, regions):
    """Return what `uses` lack in the regions of a heap, or None."""
    free = max(0, sum([each[0] for each in regions]) - RESERVE_BYTES)
    largest = max([each[1] for each in regions])
    needed = sum([NEEDS[use][0] for use in uses])
    piece = max([NEEDS[use][1] for use in uses])
    if needed <= free and piece <= largest:
        return None
    words = (" and ".join(uses), needed, piece, free, largest)
    return "no room for %s: %d bytes of IDF heap, %d of them in one piece; there are %d and %d" % words
