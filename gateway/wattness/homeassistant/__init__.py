"""Home Assistant: what the gateway knows, as devices of the home's own MQTT broker."""
