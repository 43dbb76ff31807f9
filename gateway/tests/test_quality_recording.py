"""Recorded files of many makings, and what is said of bad ones."""

import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from emulator.recordings import DATA
from wattness.cli import app
from wattness.errors import ConfigError, WattnessError
from wattness.quality import Judge, recording
from wattness.quality.days import Court, Device
from wattness.quality.recording import Recording

NOW_MS = 1_780_000_000_000
SYDNEY = ZoneInfo("Australia/Sydney")


def read(text, role="pv", zone=None):
    return recording.read(io.StringIO(text), "f.csv", role, zone)


def invoke(*args, home):
    return CliRunner().invoke(app, ["--home", str(home), "quality", *map(str, args)])


@pytest.mark.parametrize(
    ("header", "role", "point", "value"),
    [
        ("time,power_w", "pv", "power", 1_500),
        ("timestamp,Power [kW]", "load", "power", 1_500_000),
        ("Date Time;pv_kw;load_kw", "pv", "power", 1_500_000),
        ("local_time,load_kw,pv_kw", "load", "power", 1_500_000),
        ("ts,ac_power_w,dc_power_w", "pv", "power", 1_500),
        ("unix,total_yield_kwh", "pv", "energy_export", 1_500_000),
        ("utc,energy", "grid", "energy_import", 1_500),
        ("time,gridImportKWh", "grid", "energy_import", 1_500_000),
        ("time,Grid Export (Wh)", "grid", "energy_export", 1_500),
        ("time,battery_power,soc", "battery", "power", 1_500),
        ("time\tspeed km/h\tP", "vehicle", "speed", 1_500),
        ("measured,PAC", "pv", "power", 1_500),
    ],
)
def test_columns_are_found_by_their_names(header, role, point, value):
    mark = max(",;\t", key=header.count)
    rest = mark.join(["1.5"] * header.count(mark))
    found = read(f"\ufeff{header}\n# a comment\n\n2026-01-31T12:00:00Z{mark}{rest}\n", role)
    assert found.columns[point] == [value]


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2026-01-31T12:00:00Z",
        "2026-01-31 13:00:00+01:00",
        "1769860800",
        "1769860800.0",
        "1769860800000",
        "1769860800000000",
    ],
)
def test_times_of_many_forms(text):
    found = read(f"time,power_w\n{text},5\n")
    assert found.times == [int(NOON.timestamp() * 1000)]
    assert found.zoned
    assert found.days == ["2026-01-31"]


def test_a_time_without_a_zone_is_in_the_one_that_is_given():
    text = "date,time,power_w\n31.01.2026,23:30,5\n"
    assert read(text, zone=SYDNEY).times == [int((NOON + timedelta(minutes=30)).timestamp() * 1000)]
    assert not read(text).zoned
    assert read(text).days == read(text, zone=SYDNEY).days == ["2026-01-31"]


def test_the_hour_that_comes_twice_is_told_by_its_order():
    rows = [f"2012-04-01 0{hour}:{minute:02},5" for hour in (1, 2, 2, 3) for minute in (0, 30)]
    found = read("\n".join(["time,power_w", *rows]), zone=SYDNEY)
    assert {later - at for at, later in zip(found.times, found.times[1:], strict=False)} == {1_800_000}
    assert found.late == {}


def test_empty_cells_are_no_zeros_and_decimal_commas_are_read():
    found = read("time;power_w\n1769860800;NaN\n1769860860;\n1769860920;1,25\n")
    assert found.columns["power"] == [None, None, 1250]


def test_energy_of_each_row_is_added_up():
    rows = [f"{1_769_860_800 + 900 * row},{row % 3}" for row in range(20)]
    assert read("\n".join(["time,energy_wh", *rows])).columns["energy_export"][:5] == [0, 1000, 3000, 3000, 4000]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no column for the time"),
        ("power_w\n5\n", "no column for the time"),
        ("time,colour\n1,red\n", "no column for the power"),
        ("time,power_w\n", "holds no rows"),
        ("time,power_w\nyesterday,5\n", "row 2: 'yesterday' is no time"),
        ("time,power_w\n1769860800,many\n", "row 2: 'many' in column 'power_w' is no number"),
        ("time,power_w\n1769860800,inf\n", "is no number"),
        ("time,power_w\n1769860800\n", "fewer columns"),
        ("time,power_w\n1e300,5\n", "row 2"),
        ("time,power_w\n2026-01-31 12:00,5\n2026-01-31 12:01Z,5\n", "some times have a zone"),
        ("time,power_w,power_kw\n1769860800,5,5\n", "both look like power"),
        ("time,power_w\n1769860800," + "9" * 5000 + "\n", "longer than"),
    ],
)
def test_bad_files_are_refused_with_a_sentence(text, says):
    with pytest.raises(ConfigError, match=says):
        read(text)


@given(
    st.text(max_size=200) | st.from_regex(r"(time|ts),(power_w|energy)\n([0-9eE.:,T+-]{1,30}\n){1,5}", fullmatch=True)
)
def test_any_text_gives_rows_or_one_sentence(text):
    try:
        found = read(text)
    except ConfigError:
        return
    assert len(found.times) == len(found.days) == len(next(iter(found.columns.values())))


def golden(**changes):
    with (DATA / "pv_serf_east_2022-03-19_1min.csv").open() as stream:
        found = recording.read(stream, "golden", "pv", None)
    return found._replace(**changes)


def days(*recordings):
    court = Court(Judge(), NOW_MS)
    return [day for one in recordings for day in court.days(one, Device("pv", 6000))]


def test_rows_out_of_order_repeated_days_and_devices_are_found():
    one = golden()
    assert days(one)[0].verdict == "accepted"
    assert days(one._replace(late={"2022-03-19": 3}))[0].reasons == ["rows_not_rising"]
    assert days(one, one)[1].reasons == ["duplicate_series"]
    later = one._replace(times=[at + 86_400_000 for at in one.times], days=["2022-03-20"] * 1440)
    assert days(one, later)[1].reasons == ["repeated_day"]


def test_rows_of_the_future_and_impossible_values():
    one = golden()
    ahead = one._replace(times=[at + 10**12 for at in one.times])
    assert [(day.verdict, day.reasons) for day in days(ahead)] == [("quarantined", ["future_time"])]
    wrong = Recording(one.times, one.days, one.columns | {"soc": [101_000] + [50_000] * 1439}, {}, zoned=True)
    assert days(wrong)[0].reasons == ["impossible_value"]


def test_the_command_judges_each_day(tmp_path):
    done = invoke(DATA / "home_ausgrid12_2012-01_30min.csv", "--role", "pv", "--rated-w", 1000, home=tmp_path)
    assert done.exit_code == 0
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["day"] for line in lines] == [f"2012-01-{day:02}" for day in range(1, 32)]
    assert {line["verdict"] for line in lines} == {"accepted"}
    assert all(line["reasons"] == [] and "night_production" in line["not_applied"] for line in lines)


def test_the_command_names_what_is_wrong(tmp_path):
    file = tmp_path / "day.csv"
    rows = [f"{1_769_860_800 + 60 * row},{5 * (row == 30) or 1}" for row in range(60)]
    file.write_text("\n".join(["time,power_kw", *rows]))
    done = invoke(file, "--role", "load", "--rated-w", 3000, home=tmp_path)
    (line,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (line["verdict"], line["reasons"]) == ("quarantined", ["power_above_rated"])
    assert "15 %" in line["explained"]["power_above_rated"]


@pytest.mark.parametrize(
    "args",
    [
        ["nowhere.csv", "--role", "pv"],
        [DATA, "--role", "pv"],
        [DATA / "README.md", "--role", "pv"],
        [DATA / "pv_serf_east_2022-03-19_1min.csv", "--role", "pv", "--lat", 5],
        [DATA / "pv_serf_east_2022-03-19_1min.csv", "--role", "pv", "--timezone", "Mars/Base"],
        [DATA / "pv_serf_east_2022-03-19_1min.csv", "--role", "pv", "--lat", 5, "--lon", 5, "--tilt", 5],
    ],
)
def test_what_the_operator_must_mend_has_its_sentence(args, tmp_path):
    done = invoke(*args, home=tmp_path)
    assert isinstance(done.exception, WattnessError)
    assert str(done.exception).endswith((".", "Europe/Berlin"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (bytes(range(256)) * 50, "is not text; save the rows as CSV in UTF-8"),
        (bytes(1 << 20), "a line of it is longer than 65536 characters"),
        (b"time,power_w\n" + b"9" * (1 << 20), "a line of it is longer than 65536 characters"),
    ],
)
def test_a_file_that_holds_no_rows_is_not_read_into_memory(content, says, tmp_path):
    file = tmp_path / "day.csv"
    file.write_bytes(content)
    assert says in str(invoke(file, "--role", "pv", home=tmp_path).exception)


def test_a_role_that_is_none_is_refused(tmp_path):
    assert invoke(Path(__file__), "--role", "toaster", home=tmp_path).exit_code == 2
