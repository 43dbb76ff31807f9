"""What the board keeps in NVS, apart from the log's flash: key, counters, and whose log is being written."""

KEY_SIZE = 32
HASH_SIZE = 32
COUNTER_SIZE = 8
RELEASE_KEY_SIZE = 65


class State:
    """Values in an `esp32.NVS`; each write is on flash when the call returns."""

    def __init__(self, nvs):
        self._nvs = nvs

    def next_boot(self):
        """Count this boot and return its number."""
        number = self._number("boot") + 1
        self._nvs.set_i32("boot", number)
        self._nvs.commit()
        return number

    def log(self):
        """Return the number of the log that was begun last, 0 if none was."""
        return self._number("log")

    def gateway(self):
        """Return the hash of the gateway that the current log is for, or None."""
        return self._blob("gw", HASH_SIZE)

    def set_log(self, number, gateway):
        """Keep which log was begun and for whom; cut in between, the gateway does not match and a log more begins."""
        self._nvs.set_i32("log", number)
        self._nvs.commit()
        self._nvs.set_blob("gw", gateway)
        self._nvs.commit()

    def command(self):
        """Return the counter of the last command that was begun."""
        data = self._blob("cmd", COUNTER_SIZE)
        return 0 if data is None else int.from_bytes(data, "big")

    def set_command(self, counter):
        """Keep a command's counter; done before the command, so that it is never executed twice."""
        self._nvs.set_blob("cmd", counter.to_bytes(COUNTER_SIZE, "big"))
        self._nvs.commit()

    def secret(self):
        """Return the board's secret key, or None."""
        return self._blob("key", KEY_SIZE)

    def set_secret(self, secret):
        """Keep the board's secret key."""
        self._nvs.set_blob("key", secret)
        self._nvs.commit()

    def release_key(self):
        """Return the public half of the owner's release key, or None."""
        return self._blob("rel", RELEASE_KEY_SIZE)

    def set_release_key(self, public65):
        """Pin the key whose releases this board takes."""
        self._nvs.set_blob("rel", public65)
        self._nvs.commit()

    def word(self):
        """Return the boot word, as `wattboot.word` has it."""
        return self._number("prog")

    def set_word(self, word):
        """Keep the boot word."""
        self._nvs.set_i32("prog", word)
        self._nvs.commit()

    def _number(self, name):
        try:
            return self._nvs.get_i32(name)
        except OSError:
            return 0

    def _blob(self, name, size):
        data = bytearray(size)
        try:
            if self._nvs.get_blob(name, data) != size:
                return None
        except OSError:
            return None
        return bytes(data)
