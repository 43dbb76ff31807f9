"""A dongle in a car's socket: an ELM327 behind one of the five families of GATT services."""

import asyncio

from emulator.radio.air import Air
from emulator.radio.car import Answer, Car, Ecu
from emulator.radio.elm import Elm327, Fault
from emulator.radio.peripheral import Gatt, Peripheral

NORDIC = "6E40000{}-B5A3-F393-E0A9-E50E24DCCA9E"
FAMILIES = {
    "fff0": Gatt("FFF0", "FFF1", "FFF2"),
    "ffe0": Gatt("FFE0", "FFE1", "FFE1"),
    "vgate": Gatt("18F0", "2AF0", "2AF1"),
    "vlink": Gatt(
        "E7810A71-73AE-499D-8C15-FAA9AEF0C3F2",
        "BEF8D6C9-9C21-4C9E-B632-BD58C1009F9F",
        "BEF8D6C9-9C21-4C9E-B632-BD58C1009F9F",
    ),
    "nordic": Gatt(NORDIC.format(1), NORDIC.format(3), NORDIC.format(2)),
}


def dongle(air: Air, elm: Elm327, family: str = "fff0", name: str = "OBDII") -> Peripheral:
    """Return the adapter on the air; its faults of the link strike here."""
    peripheral = Peripheral(air, name, FAMILIES[family], elm)
    tasks: set[asyncio.Task[None]] = set()

    def strike(fault: Fault) -> None:
        if fault is Fault.LOSE_CHUNK:
            peripheral.lose_next = 1
        elif fault is Fault.DROP_LINK:
            task = asyncio.get_running_loop().create_task(peripheral.drop_link())
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    elm.on_fault = strike
    return peripheral


def electric_car(soc: int = 165, speed: int = 50) -> Car:
    """A car on Hyundai's and Kia's platform that answers OBD too; `soc` in half percent, `speed` in km/h."""
    battery = bytearray(58)
    battery[4] = soc
    battery[10:14] = bytes.fromhex("00070EE5")  # 0.7 A, 381.3 V
    health = bytearray(43)
    health[25:27], health[31] = bytes.fromhex("03E8"), soc - 2
    vcms = bytearray(20)
    vcms[13:16] = bytes.fromhex("0EE6") + bytes([soc])
    cluster = bytearray(15)
    cluster[6:9] = bytes.fromhex("00D431")
    drive = bytearray(40)
    drive[29] = speed
    engine = {
        "0100": bytes.fromhex("98180001"), "010D": bytes([speed]), "0142": bytes.fromhex("3714"),
        "0146": bytes([61]), "015B": bytes([soc]), "01A6": bytes.fromhex("00084987"),
        "019A": bytes.fromhex("00005F40FF9C"), "0902": b"\x01KMHKR81AFNU000001",
    }  # fmt: skip
    return Car([
        Ecu("7E0", "7E8", dict[str, Answer](engine), functional=True),
        Ecu("7E2", "7EA", {"0100": bytes.fromhex("00100000"), "010D": bytes([speed])}, functional=True),
        Ecu("7E4", "7EC", {"220101": bytes(battery), "220105": bytes(health)}),
        Ecu("744", "74C", {"22E003": bytes(vcms)}),
        Ecu("7B3", "7BB", {"220100": bytes(drive)}),
        Ecu("7C6", "7CE", {"22B002": bytes(cluster)}, pending=1),
    ])  # fmt: skip
