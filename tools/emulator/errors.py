"""What the emulator raises on purpose."""


class EmulatorError(Exception):
    """The operator must change something; the message says what."""
