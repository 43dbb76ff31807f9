"""Provisioning goes over the REPL with the real mpremote, and the board's key never leaves it."""

import base64
import json

import pytest

from emulator.errors import EmulatorError
from emulator.flash import read_files
from emulator.metered import Metered
from emulator.target import EmulatedTarget, Target

pytestmark = pytest.mark.timeout(180)


async def test_a_key_is_made_once(target: Target) -> None:
    public_key = await target.make_key()
    assert len(bytes.fromhex(public_key)) == 65
    with pytest.raises(EmulatorError, match="KeyExistsError"):
        await target.make_key()
    shown = await target.mpremote("resume", "exec", "import wattboard.keys; wattboard.keys.show()")
    assert json.loads(shown)["public_key"] == public_key


async def test_a_board_without_key_or_configuration_says_so_and_keeps_its_repl(target: Target) -> None:
    assert "6" in await target.mpremote("resume", "exec", "print(2 * 3)")
    if isinstance(target, EmulatedTarget):
        assert "wattness: no key" in await target.board.console.wait("wattness: no key")


async def test_the_secret_is_nowhere_but_in_nvs(metered: Metered) -> None:
    await metered.wait(lambda records: len(records) >= 2)
    target = metered.target
    if not isinstance(target, EmulatedTarget):
        pytest.skip("only an emulated board's NVS can be read from outside")
    await target.power_cut()
    nvs = json.loads((target.board.folder / "nvs.json").read_text())
    secret = base64.b64decode(nvs["wattness"]["key"])
    assert len(secret) == 32
    forms = (secret, secret.hex().encode(), base64.b64encode(secret), repr(secret).encode())
    places = {
        **read_files(target.board.flash_image),
        "flash": target.board.flash_image.read_bytes(),
        "console": target.board.console.path.read_bytes(),
        "frames": (await metered.gateway.wattness("export", "frames")).encode(),
    }
    for place, data in places.items():
        assert not any(form in data for form in forms), place
