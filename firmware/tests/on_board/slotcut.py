"""Cut the power at every flash operation of an update's life, in three ways each; prints how many were survived.

The life: a download into the free slot with a resumption, the switch, the trial, its success; then another whose trial
fails. After each cut the board must start a program that is whole, and go on to where it was going.
"""

import gc
import hashlib

import nor
import vfs

from wattboard import update
from wattboard.state import State
from wattboot import word as words
from wattwire import cose, p256, release

BLOCKS = 40
SECRET = bytes(range(2, 34))
PUBLIC = p256.public_key(SECRET)
KID = cose.kid(PUBLIC)
IMAGES = (b"first image " * 600, b"second image " * 500)
HEALTH_S = 60

update.RESERVE_BYTES = 8192


def bundle(image, version):
    digest = hashlib.sha256(image).digest()
    payload = release.encode_manifest(release.Manifest(version, 1, len(image), digest, HEALTH_S, False))
    return release.head(cose.sign1(SECRET, KID, payload, release.AAD)) + image


BUNDLES = (bundle(IMAGES[0], (0, 2, 0)), bundle(IMAGES[1], (0, 3, 0)))


def verified(_, envelope):
    """The signature is another test's: here it would only take minutes."""
    return release.peek(envelope)


release.verify = verified


class World:
    """What the outside knows: which releases were kept."""

    def __init__(self):
        self.kept = 0  # of BUNDLES, from the first on
        self.given_up = False  # the second was tried in vain


def begin(state):
    """What `wattboot.start.begin` does with the word; returns it."""
    word = words.begun(state.word(), False, True)
    state.set_word(word)
    return word


def fetch(state, data, *, again=False):
    """Download a release to its end, as the gateway gives it; returns the last word."""
    download, word = update.offer(state, release.envelope_of(data), again, "0.1.0")
    if download is None:
        return word
    word = download.finish()
    while word is None:
        _, offset, size, _ = release.decode_want(download.ask(0))
        word = download.take([download.id, offset, data[offset : offset + size]])
    return word


def live(state, world):
    """Bring the board from wherever it is to the first release kept and the second tried in vain."""
    word = begin(state)
    if not words.is_trial(word) and words.current(word) == words.FACTORY:
        assert fetch(state, BUNDLES[0], again=True) == "trying"  # a cut may have ended its trial
        word = begin(state)
    if words.is_trial(word) and words.current(word) == words.FACTORY:
        assert running(word) == BUNDLES[0]
        state.set_word(words.kept(state.word()))
        world.kept = 1
        word = begin(state)
    assert running(word) in BUNDLES
    if not words.is_trial(word) and not word & words.FAILED:
        assert fetch(state, BUNDLES[1]) == "trying"
        word = begin(state)
    if words.is_trial(word):
        assert running(word) == BUNDLES[1]
        word = begin(state)  # it came to nothing
    assert word & words.FAILED
    world.given_up = True
    assert fetch(state, BUNDLES[1]) == "rolled_back"
    assert running(state.word()) == BUNDLES[0]


def running(word):
    """Return the file whose program runs, or None for what the board was set up with."""
    slot = words.slot(word)
    if slot == words.FACTORY:
        return None
    with open(words.PATHS[slot], "rb") as file:
        return file.read()


def check(state, world):
    """After the cut: what starts is whole and not older than what was kept; then life goes on to its end."""
    word = words.begun(state.word(), False, True)
    found = running(word)
    assert found is None or found in BUNDLES, "a torn program would start"
    if world.kept and not words.is_trial(word):
        assert found == BUNDLES[0], "what was kept is gone"
    live(state, world)


def mounted(device, store):
    vfs.mount(vfs.VfsLfs2(device), "/")
    return State(nor.Nvs(store, device))


def copied(blocks):
    return {number: bytearray(block) for number, block in blocks.items()}


def main():
    vfs.umount("/")
    device = nor.Nor({}, BLOCKS)
    vfs.VfsLfs2.mkfs(device)
    base = device.blocks
    whole = nor.Nor(copied(base), BLOCKS)
    live(mounted(whole, {"rel": PUBLIC}), World())
    vfs.umount("/")
    cuts = 0
    for at in range(1, whole.operations + 1):
        for tear in nor.TEARS:
            blocks, store, world = copied(base), {"rel": PUBLIC}, World()
            device = nor.Nor(blocks, BLOCKS, at, tear)
            try:
                live(mounted(device, store), world)
            except BaseException:
                if not device.dead:
                    raise
                cuts += 1  # PowerCut, or what became of it while files were closed on a dead flash
            device.dead = True
            vfs.umount("/")
            try:
                check(mounted(nor.Nor(blocks, BLOCKS), store), world)
            except BaseException:
                print("operation", at, tear, world.kept, store)
                raise
            vfs.umount("/")
            gc.collect()
    print(whole.operations, cuts)


main()
