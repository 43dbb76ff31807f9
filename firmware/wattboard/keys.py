"""The board's key: made here by an explicit call, kept in NVS, never shown; only the public half leaves."""

import json
from collections import namedtuple

from wattboard import hal
from wattboard.state import State
from wattwire import cose, p256

Key = namedtuple("Key", ("secret", "public", "kid"))


class KeyExistsError(Exception):
    """The board has a key; a second one would disown its log."""


def make():
    """Make the board's key and print its public half; refused if there is one."""
    state = State(hal.nvs())
    if state.secret() is not None:
        raise KeyExistsError("this board has a key: wattboard.keys.show() prints it")
    secret = hal.random_bytes(32)
    while not p256.valid_secret(secret):
        secret = hal.random_bytes(32)
    state.set_secret(secret)
    show()


def show():
    """Print the public key as JSON, or null."""
    key = load(State(hal.nvs()))
    print(json.dumps(None if key is None else {"public_key": key.public.hex(), "kid": key.kid.hex()}))


def pin(state, release_key):
    """Pin the owner's release key, once; a configuration with another one does not change it."""
    pinned = state.release_key()
    if pinned is None and release_key is not None:
        state.set_release_key(release_key)
        return True
    return release_key is None or pinned == release_key


def load(state):
    """Return the board's Key, or None if none was made."""
    secret = state.secret()
    if secret is None:
        return None
    public = p256.public_key(secret)
    return Key(secret, public, cose.kid(public))
