"""AES-128 of one block, for those who count their counter themselves."""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes


def aes_block(key: bytes, block: bytes) -> bytes:
    """Return `block` encrypted by `key`."""
    # One block of a keystream: the counter is ours, because nobody else counts from the low byte on.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    return encryptor.update(block) + encryptor.finalize()
