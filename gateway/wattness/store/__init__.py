"""The gateway's memory: everything that must survive a kill, in one place."""
