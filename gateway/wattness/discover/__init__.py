"""What can be metered here: looks for Modbus devices where it was asked to, proposes how to read them, never writes."""
