"""What the decoders of dongles, battery monitors and Victron's adverts promise; runs unchanged on both interpreters."""

from wattwire import bms, bms_daly, bms_jbd, bms_jk, elm327, elm_setup, isotp, modbus, obd, victron
from wattwire.errors import WireError

# 22 0101 of a car on a platform of Hyundai's and Kia's, as adapters print it: 82.5 %, 0.7 A, 381.3 V.
EGMP = (
    "7EC103D620101FFFFFF",
    "7EC21FFA52643264803",
    "7EC2200070EE5121111",
    "7EC2312121200000000",
    "7EC2400000000000000",
    "7EC2500000000000000",
    "7EC2600000000000000",
    "7EC2700000000000000",
    "7EC28000000000000AA",
)
PAYLOAD = bytes.fromhex("620101") + b"".join([bytes.fromhex(line[5:]) for line in EGMP])[4:62]


def refused(function, *arguments):
    """Return the reason of the WireError that the call must raise."""
    try:
        function(*arguments)
    except WireError as error:
        return error.reason
    raise AssertionError("nothing was refused")


def joined(*parts):
    """Return the lines of several lists, in the way that both runtimes read."""
    lines = []
    for part in parts:
        lines.extend(part)
    return lines


def messages(lines, digits=3, padded=None):
    """Return what each header sent; a void one's reason."""
    found = isotp.messages(list(lines), digits, set() if padded is None else padded)
    return {key: value.reason if isinstance(value, WireError) else value for key, value in found.items()}


def check_single_frames():
    assert messages(["7E803410D32"]) == {"7E8": [b"\x41\x0d\x32"]}
    assert messages(["7e8 03 41 0d 32 aa aa aa aa"]) == {"7E8": [b"\x41\x0d\x32"]}
    assert messages(["17FE007B0462028C80"], 8) == {"17FE007B": [b"\x62\x02\x8c\x80"]}
    assert messages(["17 FE 00 7B 04 62 02 8C 80 55 55 55"], 8) == {"17FE007B": [b"\x62\x02\x8c\x80"]}


def check_a_message_of_many_frames():
    assert len(PAYLOAD) == 61
    assert messages(EGMP) == {"7EC": [PAYLOAD]}


def check_two_senders_may_talk_at_once():
    other = ("7EA100D490201414243", "7EA2144454647484A4B")
    mixed = [EGMP[0], other[0], EGMP[1], other[1]]
    mixed.extend(EGMP[2:])
    assert messages(mixed) == {"7EC": [PAYLOAD], "7EA": [b"\x49\x02\x01ABCDEFGHJK"]}


def check_damaged_messages():
    for lines, reason in (
        (EGMP[1:], "bad_sequence"),
        (EGMP[:-1], "truncated"),
        (EGMP[:3] + EGMP[4:], "bad_sequence"),
        (EGMP[:3] + EGMP[2:], "bad_sequence"),
        (joined(EGMP[:2], [EGMP[3]], [EGMP[2]], EGMP[4:]), "bad_sequence"),
        (EGMP + EGMP[-1:], "bad_sequence"),
        (joined(EGMP[:4], ["7EC037F2212"], EGMP[4:]), "bad_sequence"),
        (joined([EGMP[0][:-2]], EGMP[1:]), "bad_length"),
        (joined(EGMP[:2], [EGMP[2][:-2]], EGMP[3:]), "bad_length"),
        (joined(EGMP[:-1], [EGMP[-1][:-4]]), "bad_length"),
        (joined(["7EC102D620101FFFFFF"], EGMP[1:]), "bad_sequence"),
        (joined(["7EC103B620101FFFFFF"], EGMP[1:]), "bad_padding"),
        (["7EC00"], "bad_length"),
        (["7EC0862010100000000"], "bad_length"),
        (["7EC0462010100AA"], "bad_length"),
        (["7EC036201010203AA00"], "bad_padding"),
        (["7EC0662010100AA"], "bad_length"),
        (["7EC300000"], "bad_frame"),
        (["7EC1007620101000000"], "bad_length"),
        (["7EC0662010101AAAA"], "bad_padding"),
        (["7EC06620101010AAA"], "bad_padding"),
    ):
        assert messages(lines) == {"7EC": reason}, (lines, reason)


def check_a_sender_that_pads_once_always_pads():
    padded = set()
    assert messages(["7EC0462010132AAAAAA"], 3, padded) == {"7EC": [b"\x62\x01\x01\x32"]}
    assert messages(["7EC0462010132"], 3, padded) == {"7EC": "bad_padding"}
    assert messages(["7ED0462010132"], 3, padded) == {"7ED": [b"\x62\x01\x01\x32"]}


def check_lines_that_are_no_frames():
    for line in (
        "",
        "7EC",
        "7EC0",
        "7EC1",
        "7EC034",
        "8EC0341",
        "7EC 0341",
        "7E C03 41",
        "7EC 03 41 0",
        "7EC  03 41",
        "7ECG1",
        "7EC0362 0101",
        "7EC+1",
        "7EC_1",
        "7EC103D620101FFFFFF7EC21FFA52643264803",
    ):
        assert refused(isotp.parse, line, 3) in ("bad_frame", "bad_length"), line
    assert refused(isotp.parse, "27FE007B0462028C80", 8) == "bad_frame"
    assert refused(messages, ["7EC 03 41 0D 32", "7EC03410D32"]) == "bad_frame"


def check_adapter_text():
    reader = elm327.Reader()
    assert reader.feed(b"7E8 03 41") is None
    assert reader.feed(b" 0D\x00 32 \r\r\n>") == ["7E8 03 41 0D 32"]
    assert reader.feed(b">") == []
    assert refused(reader.feed, b"7" * 5000) == "too_long"
    assert reader.feed(b"OK\r>") == ["OK"]
    assert elm327.split(b"a\x80\rb") == ["a\ufffd", "b"]
    assert elm327.frames(["010D", "SEARCHING...", "7E803410D32"], "010D") == ["7E803410D32"]
    assert elm327.frames(["01 0D", "SEARCHING...7E803410D32"], "010D") == ["7E803410D32"]
    assert elm327.frames(["BUS INIT: OK", "7E803410D32"], "010D") == ["7E803410D32"]
    assert elm327.frames(["7E803410D32", "010D"], "010D") == ["7E803410D32", "010D"]
    assert refused(elm327.frames, [], "010D") == "no_answer"
    for line, reason in (
        ("NO DATA", "no_data"),
        ("CAN ERROR", "can_error"),
        ("BUS INIT: ...ERROR", "bus_init_error"),
        ("UNABLE TO CONNECT", "unable_to_connect"),
        ("STOPPED", "stopped"),
        ("7EC21FFSTOPPED", "stopped"),
        ("BUFFER FULL", "buffer_full"),
        ("7EC21FFA526<RX ERROR", "rx_error"),
        ("7EC21FFA526432<DATA ERROR", "data_error"),
        ("?", "unknown_command"),
        ("LV RESET", "low_voltage_reset"),
        ("ERR94", "adapter_error"),
    ):
        assert refused(elm327.frames, ["7E803410D32", line], "010D") == reason, line


def check_voltage():
    assert elm327.millivolts(["12.6V"]) == 12600
    assert elm327.millivolts(["ATRV", "9.85V"]) == 9850
    for line in ("12.6", "126V", "12.V", "12.x V", "1e3V", "-1.0V", "123.4V", "12.600V", "OK"):
        assert refused(elm327.millivolts, [line]) == "bad_voltage", line
    assert refused(elm327.millivolts, ["?"]) == "unknown_command"


def talk(dialogue, answers):
    """Run a dialogue against {command: lines}; return its result and the commands."""
    asked = []
    lines = None
    try:
        while True:
            command, _ = dialogue.send(lines)
            asked.append(command)
            lines = answers.get(command, ["OK"])
            if callable(lines):
                lines = lines()
    except StopIteration as end:
        return end.value, asked


def check_the_adapter_is_proved():
    good = {"ATZ": ["ELM327 v1.5"], "ATE0": ["ATE0", "OK"], "ATI": ["ELM327 v1.5"], "ATRV": ["12.6V"]}
    found, asked = talk(elm_setup.adapter(), good)
    assert found == ("ELM327 v1.5", 12600, [])
    assert asked[:4] == ["ATZ", "ATE0", "ATL0", "ATS0"]
    clone = dict(good)
    clone.update({"ATZ": None, "ATS0": ["?"], "ATAT1": ["?"], "ATRV": ["?"]})
    found, _ = talk(elm_setup.adapter(), clone)
    assert found == ("ELM327 v1.5", None, ["ATS0", "ATAT1"])
    printer = dict(good)
    printer["ATI"] = ["?"]
    assert refused(talk, elm_setup.adapter(), printer) == "no_adapter"
    headless = dict(good)
    headless["ATH1"] = ["?"]
    assert refused(talk, elm_setup.adapter(), headless) == "no_headers"


def check_the_protocol_is_found():
    alive = ["7E8064100BE3FA813"]
    assert talk(elm_setup.bus("7"), {})[0] == "7"
    assert talk(elm_setup.bus(), {"0100": alive, "ATDPN": ["A6"]})[0] == "6"
    tries = [["UNABLE TO CONNECT"], ["CAN ERROR"], None, ["SEARCHING...", "18DAF110064100BE3FA813"]]
    found, asked = talk(elm_setup.bus(), {"0100": lambda: tries.pop(0)})
    assert found == "7"
    assert [each for each in asked if each[:4] == "ATTP"] == ["ATTP6", "ATTP8", "ATTP7"]
    assert refused(talk, elm_setup.bus(), {"0100": ["NO DATA"]}) == "no_data"
    assert refused(talk, elm_setup.bus(), {"ATSP0": ["?"]}) == "unknown_command"


def check_an_ecu_is_selected():
    lacks = []
    answers = {"ATCRA7EC": ["?"], "ATFCSD300000": ["?"]}
    ears = elm_setup.Ears()
    _, asked = talk(elm_setup.select("7E4", "7EC", lacks, ears), answers)
    assert asked == ["ATSH7E4", "ATCRA7EC", "ATFCSH7E4", "ATFCSD300000", "ATFCSM1"]
    assert lacks == ["ATCRA", "ATFCSD"]
    _, asked = talk(elm_setup.select("17FC007B", "17FE007B", lacks, ears), {})
    assert asked == ["ATCP17", "ATSHFC007B", "ATCRA17FE007B", "ATFCSH17FC007B"]
    _, asked = talk(elm_setup.select("7DF", None, lacks, ears), {})
    assert asked == ["ATSH7DF", "ATAR", "ATFCSM0"]
    ears = elm_setup.Ears(["7EC", "74C", "7BB"])
    assert ears.pattern == "7XX"
    _, asked = talk(elm_setup.select("7E4", "7EC", lacks, ears), {})
    assert asked == ["ATSH7E4", "ATCRA7XX", "ATFCSH7E4", "ATFCSD300000", "ATFCSM1"]
    _, asked = talk(elm_setup.select("744", "74C", lacks, ears), {})
    assert asked == ["ATSH744", "ATFCSH744"]
    ears = elm_setup.Ears(["7EC", "74C"])
    _, asked = talk(elm_setup.select("744", "74C", lacks, ears), {"ATCRA7XC": ["?"]})
    assert asked[1:3] == ["ATCRA7XC", "ATCRA74C"]
    assert elm_setup.Ears(["7EC", "17FE007B"]).pattern is None


def payloads(lines, request="220101", header="7E4", answer="7EC"):
    return obd.payloads(header, answer, request, list(lines), set())


def check_answers_belong_to_their_requests():
    assert payloads(EGMP) == {"7EC": PAYLOAD[1:]}
    assert payloads(joined(["7EC037F2278AAAAAAAA"], EGMP)) == {"7EC": PAYLOAD[1:]}
    assert payloads(joined(["7ED0462010132"], EGMP)) == {"7EC": PAYLOAD[1:]}
    assert refused(payloads, ["7EC037F2231"]) == "refused"
    assert refused(payloads, ["7EC037F2278"]) == "no_answer"
    assert refused(payloads, ["7ED0462010132"]) == "no_answer"
    assert refused(payloads, ["7EC037F2131"]) == "wrong_service"
    assert refused(payloads, ["7EC03410D32"]) == "wrong_service"
    assert refused(payloads, ["7EC0462010132", "7EC0462010133"]) == "two_answers"
    assert payloads(["7EC0462010132", "7EC0462010132"]) == {"7EC": b"\x01\x01\x32"}
    sizes = {b"\x01\x01": None}
    assert obd.parts(PAYLOAD[1:], "220101", sizes) == {b"\x01\x01": PAYLOAD[3:]}
    assert refused(obd.parts, b"\x01\x05\x32", "220101", sizes) == "wrong_identifier"
    assert refused(obd.parts, b"\x0d\x32\x00", "010D", {b"\x0d": 1}) == "wrong_length"


def check_several_identifiers():
    sizes = {b"\x0d": 1, b"\x5b": 1, b"\xa6": 4}
    whole = bytes.fromhex("0d325b80a600012345")
    assert obd.parts(whole, "010D5BA6", sizes) == {b"\x0d": b"\x32", b"\x5b": b"\x80", b"\xa6": whole[5:]}
    assert obd.parts(b"\x0d\x32\xa6\x00\x01\x23\x45", "010D5BA6", sizes)[b"\xa6"] == b"\x00\x01\x23\x45"
    for bad in ("0d325b", "0d320d32", "5b800d32", "0d3242", "0d325b80a6000123", "0d325b80a60001234500"):
        assert refused(obd.parts, bytes.fromhex(bad), "010D5BA6", sizes) == "wrong_identifier", bad
    for bad in ("010D0D", "0101020304050607", "22010105", "090204", "2201", "3E00", "", "01"):
        assert refused(obd.identifiers, bad) == "bad_request", bad
    assert obd.normal("22 01 01 9") == "220101"


def signal(**given):
    """Return a Signal of one byte, changed by what is given."""
    form = {"name": "x", "unit": "1", "exponent": 0, "bit": 0, "bits": 8, "signed": False, "mul": 1, "add": 0, "div": 1}
    form.update({"low": -1000, "high": 1000, "invalid": (), "product": None, "unsettled": None})
    form.update(given)
    return obd.Signal(**form)


def check_values_are_exact():
    def one(data, **given):
        return obd.decode((signal(**given),), data)["x"]

    assert one(b"\x80", mul=100, div=255) == (12800, 255)
    assert obd.integer((12800, 255), -1) == 502
    assert one(b"\x00\xff\x9c", bit=8, bits=16, signed=True, div=10) == (-100, 10)
    assert one(b"\xff\x9c", bit=4, bits=4) == (15, 1)
    assert one(b"\x10", add=-40) == (-24, 1)
    assert one(b"\x10", bits=9) is None
    assert one(b"\xff", invalid=(255,)) is None
    assert one(b"\xc9", div=2, high=100) is None
    assert one(b"\xc8", div=2, high=100) == (200, 2)
    assert one(b"\x01", low=2) is None
    rounded = (((5, 2), 0, 2), ((7, 2), 0, 4), ((-5, 2), 0, -2), ((1250, 1), 2, 12), ((1, 3), -3, 333))
    for value, exponent, expected in rounded:
        assert obd.integer(value, exponent) == expected, (value, exponent)
    pair = (signal(), signal(name="y", bit=8, signed=True), signal(name="z", product=("x", "y")))
    assert obd.decode(pair, b"\x05\xfe")["z"] == (-10, 1)
    assert obd.decode(pair, b"\x05")["z"] is None


def check_vin():
    number = "WVWZZZE1ZKP123456"
    data = b"\x49\x02\x01" + number.encode()
    lines = ["7E81014" + data[:6].hex(), "7E821" + data[6:13].hex(), "7E822" + data[13:].hex()]
    assert obd.vin(lines) == number
    assert obd.vin(["7E80349020100000000"]) is None


def check_jbd():
    info = bytes.fromhex("0542fe0c0fa01388000c2d6d00000000000121500304020baf0b9b")
    decoder = bms.decoder("jbd")
    assert [each.hex() for each in decoder.requests()] == ["dda50300fffd77", "dda50400fffc77"]
    frame = bms_jbd.answer(3, info)
    assert decoder.feed(frame[:20]) is None
    assert decoder.pieces.pending
    found = decoder.feed(frame[20:])
    assert found["voltage"] == (1346, -2)
    assert found["current"] == (-500, -2)
    assert found["power"] == (-673000, -4)
    assert found["soc"] == (80, 0)
    assert found["charge"] == (4000, -2)
    assert found["capacity"] == (5000, -2)
    assert found["cycles"] == (12, 0)
    assert found["errors"] == (1, 0)
    assert (found["charge_switch"], found["discharge_switch"]) == ((1, 0), (1, 0))
    assert (found["temperature_1"], found["temperature_2"]) == ((260, -1), (240, -1))
    cells = decoder.feed(bms_jbd.answer(4, bytes.fromhex("0d1c0d1d0d1e0d1f")))
    assert cells["cell_voltage_4"] == (3359, -3)
    for bad, reason in (
        (decoder.requests()[0], "wrong_command"),
        (frame + frame, "trailing_bytes"),
        (frame[:-1] + b"\x76", "bad_checksum"),
        (bms_jbd.answer(3, info, 0x80), "refused"),
        (bms_jbd.answer(3, info[:-2]), "wrong_length"),
        (bms_jbd.answer(4, b"\x0d"), "wrong_length"),
        (bms_jbd.answer(5, b"JBD"), "wrong_command"),
        (b"\x00" + frame, "bad_frame"),
    ):
        assert refused(decoder.feed, bad) == reason, reason
        assert not decoder.pieces.pending
    assert decoder.feed(frame[:20]) is None
    assert decoder.feed(frame) == found


def daly_registers():
    words = [0] * 62
    words[0:4] = [3301, 3302, 3303, 3304]
    words[32:34] = [64, 65]
    words[40], words[41], words[42] = 132, 30105, 805
    words[48], words[49], words[50], words[51] = 1234, 4, 2, 77
    return b"".join([bytes((word >> 8, word & 255)) for word in words])


def check_daly():
    decoder = bms.decoder("daly")
    assert decoder.requests()[0].hex() == "d2030000003ed7b9"
    frame = modbus.seal(b"\xd2\x03\x7c" + daly_registers())
    for at in range(0, 120, 20):
        assert decoder.feed(frame[at : at + 20]) is None
    assert decoder.pieces.pending
    found = decoder.feed(frame[120:])
    assert found["voltage"] == (132, -1)
    assert found["current"] == (105, -1)
    assert found["power"] == (13860, -2)
    assert found["soc"] == (805, -1)
    assert found["charge"] == (1234, -1)
    assert found["cycles"] == (77, 0)
    assert found["errors"] == (0, 0)
    assert found["cell_voltage_4"] == (3304, -3)
    assert found["temperature_2"] == (25, 0)
    assert "cell_voltage_5" not in found
    for bad, reason in (
        (decoder.requests()[0], "wrong_length"),
        (frame[:-1] + b"\x00", "bad_crc"),
        (frame + b"\x00", "trailing_bytes"),
        (modbus.seal(b"\xd2\x83\x02"), "refused"),
        (b"\x01" + frame[1:], "wrong_unit"),
    ):
        assert refused(decoder.feed, bad) == reason, reason
        assert not decoder.pieces.pending
    decoder.feed(frame[:40])
    assert decoder.feed(frame) == found
    assert bms_daly.points(bytes(124))["current"] == (-30000, -1)


def jk_frame(move=0, voltage=52480, current=-12345, soc=81, kind=2):
    """Return a frame with figures that agree."""
    frame = bytearray(300)
    frame[:6] = b"\x55\xaa\xeb\x90" + bytes((kind, 1))
    for index in range(16):
        frame[6 + 2 * index : 8 + 2 * index] = (voltage // 16).to_bytes(2, "little")
    power = voltage * abs(current) // 1000
    for at, value in ((150, voltage), (154, power), (158, current), (174, 81000), (178, 100000), (182, 42)):
        frame[at + move : at + move + 4] = (value & 0xFFFFFFFF).to_bytes(4, "little")
    frame[173 + move], frame[190 + move] = soc, 99
    frame[299] = sum(frame[:299]) & 0xFF
    return bytes(frame)


def check_jk():
    decoder = bms.decoder("jk")
    assert decoder.requests()[1].hex() == "aa5590eb96000000000000000000000000000010"
    frame = jk_frame()
    assert decoder.feed(b"AT\r\n") is None
    assert decoder.feed(b"AT\r\n" + frame[:128]) is None
    assert decoder.feed(frame[128:256]) is None
    assert decoder.pieces.pending
    found = decoder.feed(frame[256:])
    assert found["voltage"] == (52480, -3)
    assert found["current"] == (-12345, -3)
    assert found["power"] == (-52480 * 12345, -6)
    assert (found["soc"], found["soh"], found["cycles"], found["charge"]) == ((81, 0), (99, 0), (42, 0), (81000, -3))
    assert decoder.feed(jk_frame(-32)) == found
    assert decoder.feed(jk_frame(kind=3)) == {}
    decoder.feed(frame[:128])
    assert decoder.feed(frame[:128]) is None
    assert decoder.feed(frame[128:]) == found
    broken = bytearray(frame)
    broken[150] ^= 1
    assert refused(decoder.feed, bytes(broken)) == "bad_checksum"
    for bad in ({"soc": 101}, {"voltage": 3000}, {"kind": 9}):
        assert refused(decoder.feed, jk_frame(**bad)) in ("bad_range", "wrong_command"), bad
    assert decoder.feed(bms_jk.request(0x96)) is None  # an echo
    moved = bytearray(frame)
    moved[151], moved[6] = (frame[151] + 16) & 255, (frame[6] - 16) & 255  # the sum stays, the cells disagree
    assert refused(decoder.feed, bytes(moved)) == "bad_range"


ADVERTS = (  # published examples of the maker's format: key, advert, what it says
    (
        "aff4d0995b7d1e176c0c33ecb9e70dcd",
        "100289a302b040af925d09a4d89aa0128bdef48c6298a9",
        {"voltage": (1253, -2), "current": (0, -3), "soc": (500, -1), "consumed_charge": (500, -1)},
    ),
    (
        "adeccb947395801a4dd45a2eaa44bf17",
        "100242a0016207adceb37b605d7e0ee21b24df5c",
        {"battery_voltage": (1388, -2), "battery_current": (14, -1), "power": (19, 0), "yield_today": (3, 1)},
    ),
    (
        "da3f5fa2860cb1cf86ba7a6d1d16b9dd",
        "100380270c1252dad26f0b8eb39162074d140df410",
        {"battery_voltage": (1445, -2), "battery_current": (232, -1), "ac_output_power": (1046, 0), "soc": None},
    ),
)


def check_victron(block):
    for key_hex, advert, expected in ADVERTS:
        data, key = bytes.fromhex(advert), bytes.fromhex(key_hex)
        found = victron.decode(data, key, block)
        for name, value in expected.items():
            assert found[name] == value, (name, found[name])
        for name in found:
            assert victron.unit(name)
        assert refused(victron.decode, data[:-1], key, block) == "truncated"
        assert refused(victron.decode, data, bytes(16), block) == "wrong_key"
        assert refused(victron.decode, data, key[:-1], block) == "bad_range"
        assert refused(victron.decode, b"\x11" + data[1:], key, block) == "bad_frame"
        assert refused(victron.decode, data[:4] + b"\x04" + data[5:], key, block) == "unknown_type"
        assert refused(victron.decode, data[:8], key, block) == "wrong_length"
        advertisement = b"\x02\x01\x06" + bytes((3 + len(data), 0xFF, 0xE1, 0x02)) + data
        assert victron.maker_data(advertisement) == data
        assert victron.maker_data(advertisement[:-1]) is None
    assert victron.maker_data(b"\x00\x01") is None


CHECKS = [name for name in sorted(globals()) if name.startswith("check_") and name != "check_victron"]
