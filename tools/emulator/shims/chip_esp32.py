"""The chip's `esp32`: NVS with an atomic commit on a host file, and the figures of the IDF heap."""

import json
from binascii import a2b_base64, b2a_base64

from micropython import const

HEAP_DATA, HEAP_EXEC = 4, 1
_NOT_FOUND = const(-4354)
_INVALID_NAME = const(-4360)
_host = None  # the host's file system, and the partition's file on it; set by the boot
_path = ""


def begin(host, folder):
    """Say where the host keeps the board's NVS partition."""
    global _host, _path
    _host = host
    _path = folder + "/nvs.json"


def is_silent():
    """Whether there is no access point: the host says so by a file in the board's folder."""
    try:
        _host.stat(_path.replace("nvs.json", "no_wifi"))
    except OSError:
        return False
    return True


def idf_heap_info(capabilities):
    """(total, free, largest block, least free ever) of each heap region: invented, and they never change."""
    return [(16_384, 8_000, 7_900, 7_000), (113_840, 100_000, 90_000, 88_000)]


def _load():
    try:
        with _host.open(_path, "r") as file:
            return json.load(file)
    except OSError:
        return {}


class NVS:
    """One namespace of the key-value store; what was set but not committed is lost with the power."""

    def __init__(self, namespace):
        _check(namespace)
        self._namespace = namespace
        self._pending = {}  # key -> stored form, or None for an erased key

    def set_i32(self, key, value):
        """Set a signed 32-bit integer."""
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError
        self._pending[_check(key)] = value

    def get_i32(self, key):
        """The integer of `key`."""
        value = self._get(key)
        if not isinstance(value, int):
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return value

    def set_blob(self, key, value):
        """Set bytes."""
        self._pending[_check(key)] = b2a_base64(bytes(value)).decode().strip()

    def get_blob(self, key, buffer):
        """Copy the bytes of `key` into `buffer`; returns their length."""
        value = self._get(key)
        if not isinstance(value, str):
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        data = a2b_base64(value)
        if len(data) > len(buffer):
            raise OSError(-4364, "ESP_ERR_NVS_INVALID_LENGTH")
        buffer[: len(data)] = data
        return len(data)

    def erase_key(self, key):
        """Forget a key."""
        self._get(key)
        self._pending[key] = None

    def commit(self):
        """Make everything set so far last; a power cut leaves all of it or none."""
        store = _load()
        space = store.setdefault(self._namespace, {})
        for key, value in self._pending.items():
            if value is None:
                space.pop(key, None)
            else:
                space[key] = value
        with _host.open(_path + ".next", "w") as file:
            json.dump(store, file)
        _host.rename(_path + ".next", _path)
        self._pending = {}

    def _get(self, key):
        _check(key)
        value = self._pending[key] if key in self._pending else _load().get(self._namespace, {}).get(key)
        if value is None:
            raise OSError(_NOT_FOUND, "ESP_ERR_NVS_NOT_FOUND")
        return value


def _check(name):
    if not 0 < len(name) <= 15:
        raise OSError(_INVALID_NAME, "ESP_ERR_NVS_INVALID_NAME")
    return name
