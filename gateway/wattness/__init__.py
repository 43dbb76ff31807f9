"""Wattness gateway: verifies, judges, aggregates, signs and forwards what boards metered."""
