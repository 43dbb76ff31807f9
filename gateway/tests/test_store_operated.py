"""Loads that work for compute networks: whose energy they took is worked out exactly, or said to be unknown."""

import datetime as dt
import json
import runpy
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wattness import accounts, operated
from wattness.cli import main
from wattness.config import load, parse
from wattness.errors import ConfigError
from wattness.operated import _Flow, _Part, _Site
from wattness.store.payouts import PayoutEntry, PriceEntry, open_payouts
from wattness.store.reader import open_reader

WORLD = runpy.run_path(str(Path(__file__).parent / "rewards_world.py"))
Books, day, FIRST, CONFIG = WORLD["Books"], WORLD["day"], WORLD["FIRST"], WORLD["CONFIG"]
HOUR = 3_600_000
KWH = 1_000_000
OPERATES = """
[[operates]]
device = "gpu"
operator = "akash"
account = "akash1qqq"

[[operates]]
device = "0102030405060708/rig"
operator = "render"
"""


def figures(taken=0, given=0, covered=1.0, gap=None):
    energy = {"energy_import": round(taken * KWH), "energy_export": round(given * KWH)}
    lost = {"energy_import": 0, "energy_export": 0} if gap is None else {"energy_export": round(gap * KWH)}
    return json.dumps({"energy": energy, "gap_energy": lost, "covered_ms": round(covered * HOUR), "rows": 9})


@pytest.fixture
def books(tmp_path):
    books = Books(tmp_path)
    (tmp_path / "gateway.toml").write_text(CONFIG + OPERATES)
    for number, (role, device) in enumerate(
        [("pv", "roof"), ("grid", "main"), ("battery", "box"), ("load", "gpu"), ("load", "rig")], 1
    ):
        books.stream(number, role, device)
    return books


def hour(books, at, **energies):
    """Enter an hour: pv, grid and battery as (import, export) or None for silence, and the load's import."""
    for stream, role in enumerate(("pv", "grid", "battery", "load"), 1):
        energy = energies.get(role, (0, 0))
        if energy is not None:
            books.interval(stream, role, at, figures=figures(*energy))


def told(books, days=1, operator="akash"):
    config = load(books.home)
    asked = accounts.Asked(FIRST, FIRST + dt.timedelta(days - 1), "Europe/Berlin", "EUR", {})
    with open_reader(books.path) as reader:
        found = operated.days(reader, asked, config.money, config.operates)
    return [one for one in found if one.operator == operator]


def test_own_and_bought_energy_are_told_apart_and_priced(books):
    hour(books, day(0, 12), pv=(0, 4), grid=(0, 1), battery=(1, 0), load=(1, 0))  # all of it own
    hour(books, day(0, 13), pv=(0, 1), grid=(1, 0), load=(1, 0))  # half of it
    hour(books, day(0, 14), pv=(0, 0), grid=(1, 0), battery=(0, 3), load=(2, 0))  # three quarters
    hour(books, day(0, 15), pv=(0, 0), grid=(3, 0), battery=(1, 0), load=(2, 0))  # bought, also for the battery
    (found,) = told(books)
    (gpu,) = found.loads
    assert (gpu.metered, gpu.account, gpu.energy_wh, gpu.unknown_wh) == (True, "akash1qqq", 6000, 0)
    assert (gpu.own_wh, gpu.grid_wh) == (1000 + 500 + 1500, 500 + 500 + 2000)
    assert found.own_share == 0.5
    assert found.cost == "1.14"  # 3 × 0.30 + 3 × 0.08
    assert (found.pay, found.value, found.margin) == ([], None, None)


def test_pay_stands_beside_cost(books):
    hour(books, day(0), pv=(0, 0), grid=(2, 0), load=(1, 0))
    hour(books, day(2), pv=(0, 0), grid=(2, 0), load=(1, 0))
    with open_payouts(books.path) as payouts:
        payouts.add([PayoutEntry("akash", day(number), "AKT", Decimal("0.5")) for number in range(3)])
        payouts.set_prices([PriceEntry("AKT", "", "EUR", FIRST + dt.timedelta(1), Decimal(3))])
    first, second, third = told(books, 3)
    assert (first.cost, first.value, first.margin) == ("0.3", None, None)
    assert (second.cost, second.value, second.margin) == (None, "1.5", None)
    assert (third.cost, third.value, third.margin) == ("0.4", "1.5", "1.1")  # the tariff has risen


def test_what_a_silent_meter_would_have_said_is_unknown(books):
    hour(books, day(0, 10), pv=None, grid=(1, 0), load=(1, 0))
    hour(books, day(0, 11), pv=(0, 2), grid=None, load=(1, 0))
    hour(books, day(0, 12), pv=(0, 2), grid=(0, 0), battery=None, load=(1, 0))
    (found,) = told(books)
    assert (found.loads[0].unknown_wh, found.energy_wh, found.own_share, found.cost) == (3000, 3000, None, None)


@pytest.mark.parametrize(("gap", "unknown"), [(0, 0), (0.001, 3000)])
def test_a_sleeping_inverter_made_nothing_if_its_counter_says_so(books, gap, unknown):
    hour(books, day(0, 20), pv=(0, 1), grid=(0, 0), load=(1, 0))
    for at in (21, 22, 23):
        hour(books, day(0, at), pv=None, grid=(1, 0), load=(1, 0))
    hour(books, day(1, 0), pv=None, grid=(1, 0), load=(1, 0))
    books.interval(1, "pv", day(1, 8), figures=figures(0, 1, gap=gap))
    (found,) = told(books)
    assert found.loads[0].unknown_wh == unknown
    assert found.loads[0].own_wh == 1000


def test_hardly_metered_intervals_are_unknown(books):
    for stream, role in enumerate(("grid", "battery", "load"), 2):
        books.interval(stream, role, day(0), figures=figures(1, 0))
    books.interval(1, "pv", day(0), figures=figures(0, 1, covered=0.5))
    assert told(books)[0].loads[0].unknown_wh == 1000


def test_without_panels_and_batteries_all_is_bought(tmp_path):
    books = Books(tmp_path)
    (tmp_path / "gateway.toml").write_text(CONFIG + OPERATES)
    books.stream(4, "load", "gpu")
    books.interval(4, "load", day(0), figures=figures(2))
    (found,) = told(books)
    assert (found.own_share, found.cost, found.loads[0].grid_wh) == (0, "0.6", 2000)
    assert told(books, operator="render") == []
    with open_payouts(books.path) as payouts:
        payouts.add([PayoutEntry("render", day(0), "RENDER", Decimal(1))])
    (other,) = told(books, operator="render")
    assert (other.loads[0].metered, other.energy_wh, other.cost, other.own_share) == (False, None, None, None)


def test_a_load_at_rest_costs_nothing(books):
    hour(books, day(0), pv=(0, 0), grid=(1, 0), load=(0, 0))
    (found,) = told(books)
    assert (found.energy_wh, found.cost, found.own_share) == (0, "0", None)


def test_a_panel_that_is_gone_for_good_hides_nothing(books):
    books.stream(9, "pv", "old", last_ms=day(-9))
    hour(books, day(0), pv=(0, 0), grid=(1, 0), load=(1, 0))
    assert told(books)[0].loads[0].unknown_wh == 0


ENERGY = st.integers(0, 10**9)


@given(ENERGY, ENERGY, ENERGY, ENERGY, ENERGY)
def test_own_share_is_a_share(made, charged, discharged, taken, given_):
    slot = (0, HOUR)
    flows = [_Flow([_Part({slot: energy}, 0, HOUR)]) for energy in (made, charged, discharged, taken, given_)]
    share = _Site(*flows).own_share(slot)
    if share is not None:
        own, used = share
        assert 0 <= own <= used
        assert used == made + taken + discharged - given_ - charged


def test_the_command_line_and_its_json_agree(books, monkeypatch, capsys):
    hour(books, day(0), pv=(0, 0), grid=(2, 0), load=(1, 0))
    monkeypatch.setenv("WATTNESS_HOME", str(books.home))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(
            sys, "argv", ["wattness", "rewards", "operators", "--from", "2026-11-01", "--to", "2026-11-01", *arguments]
        )
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0
        return capsys.readouterr().out

    assert "1.000 kWh" in run()
    assert [one["operator"] for one in json.loads(run("--json"))] == ["akash"]
    (books.home / "gateway.toml").write_text(CONFIG)
    assert "No load works for anybody" in run()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            OPERATES + '[[operates]]\ndevice = "gpu"\noperator = "ionet"\n',
            r"\$.operates\[2\].device: 'gpu' works for two",
        ),
        ('[[operates]]\ndevice = "gpu"\noperator = "A B"\n', "operates"),
        ('[money]\ncurrency = "euro"\n', "currency"),
        ('[money]\ncurrency = "EUR"\ntariff = [{grid_per_kwh = "nan"}]\n', "grid_per_kwh: must be a price"),
        ('[money]\ncurrency = "EUR"\ntariff = [{grid_per_kwh = 1e9}]\n', "grid_per_kwh: must be a price"),
    ],
)
def test_bad_settings_are_named(text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        parse(text, Path())
