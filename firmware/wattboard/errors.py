"""What may be wrong with a board's configuration or its devices."""


class ConfigError(ValueError):
    """The operator must put the configuration right; the text names the key."""


class SilentError(Exception):
    """The device did not answer at all, or not well enough to be known."""


class UnsuitableError(SilentError):
    """The device answered, but it is not what the configuration says; it may be tomorrow."""
