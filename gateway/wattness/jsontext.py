"""JSON as people write it: what its reader passes over in silence is refused."""

from typing import Any


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's pairs as a dict, an `object_pairs_hook`; raises ValueError if a key is there twice."""
    form = dict(pairs)
    if len(form) != len(pairs):
        keys = [key for key, _ in pairs]
        message = f"the key {next(key for key in keys if keys.count(key) > 1)!r} is there twice"
        raise ValueError(message)
    return form
