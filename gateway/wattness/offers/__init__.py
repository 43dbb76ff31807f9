"""What this gateway can give to networks that take no reports: a coarse place, energy, and drives without places."""
