"""What the tools' tests share."""

from hypothesis import HealthCheck, settings

# No test of ours depends on how fast the machine happens to be.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")
