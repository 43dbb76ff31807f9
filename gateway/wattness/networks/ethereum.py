"""What the networks that grew from Ethereum share: its hash, its addresses and its signed messages."""

from Crypto.Hash import keccak

ADDRESS_SIZE = 20


def keccak256(data: bytes) -> bytes:
    """Return the original Keccak-256 of `data`, which is not SHA3-256."""
    return keccak.new(digest_bits=256, data=data).digest()


def address(public_key: bytes) -> str:
    """Return the address of an uncompressed secp256k1 point (65 bytes), with the checksum case of EIP-55."""
    return checksummed(keccak256(public_key[1:])[-ADDRESS_SIZE:])


def checksummed(raw: bytes) -> str:
    """Return 20 bytes as 0x-text whose upper-case letters are a checksum (EIP-55)."""
    text = raw.hex()
    digest = keccak256(text.encode()).hex()
    cased = (letter.upper() if int(nibble, 16) >= 8 else letter for letter, nibble in zip(text, digest, strict=False))
    return "0x" + "".join(cased)


def personal_digest(message: bytes) -> bytes:
    """Return the hash that an EIP-191 "personal" signature covers."""
    return keccak256(b"\x19Ethereum Signed Message:\n%d" % len(message) + message)
