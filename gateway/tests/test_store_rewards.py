"""Accounts of networks: reports by what became of them, pay by day, and what it was worth; nothing is made up."""

import contextlib
import csv
import datetime as dt
import io
import json
import random
import runpy
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wattness import accounts, payfile
from wattness.cli import main
from wattness.errors import ConfigError
from wattness.store.payouts import PayoutEntry, PriceEntry, open_payouts, plain
from wattness.store.reader import open_reader

WORLD = runpy.run_path(str(Path(__file__).parent / "rewards_world.py"))
Books, day, FIRST, BEGIN = WORLD["Books"], WORLD["day"], WORLD["FIRST"], WORLD["BEGIN"]
BERLIN = "Europe/Berlin"


@pytest.fixture
def books(tmp_path):
    books = Books(tmp_path)
    books.stream(1, "pv")
    return books


def asked(days=3, **changes):
    until = FIRST + dt.timedelta(days - 1)
    return accounts.Asked(FIRST, until, BERLIN, "EUR", {"home": "points"})._replace(**changes)


def told(books, **changes):
    with open_reader(books.path) as reader:
        return accounts.days(reader, asked(**changes))


def enter(books, *entries):
    with open_payouts(books.path) as payouts:
        return payouts.add(entries)


def price(books, unit, amount, number, **changes):
    entry = PriceEntry(unit, "", "EUR", FIRST + dt.timedelta(number), Decimal(amount))
    with open_payouts(books.path) as payouts:
        payouts.set_prices([entry._replace(**changes)])


def test_reports_are_counted_by_what_became_of_them(books):
    fates = [
        ("completed", ""), ("completed", ""), ("discarded", "too_late"), ("discarded", "expired"),
        ("retryable", "503"), ("available", ""), ("running", ""),
    ]  # fmt: skip
    for hour, fate in enumerate(fates):
        books.job("home", books.interval(1, "pv", day(0, hour)), *fate)
    books.job("home", books.interval(1, "pv", day(1, 0)), "completed")
    books.job("archive", books.interval(1, "pv", day(2, 1)), "completed", begin=day(2, 0))
    books.job("archive", books.interval(1, "pv", day(2, 2)), "discarded", "no_evidence", begin=day(1, 0))
    first, second, other, third = told(books)
    assert (first.reports, first.accepted, first.refused, first.missing) == (7, 2, 1, 4)
    assert first.reasons == {"expired": 1, "too_late": 1}
    assert (first.paid, first.pay, first.day) == (None, [], "2026-11-01")
    assert (second.network, second.refused, third.network, third.accepted) == ("archive", 1, "archive", 1)
    assert (other.network, other.accepted) == ("home", 1)
    assert [one.network for one in told(books, network="home")] == ["home", "home"]


def test_reports_that_a_network_says_it_pays_are_told_from_the_others(books):
    for hour in range(5):
        books.job("home", books.interval(1, "pv", day(0, hour)), "completed")
    why = json.dumps({"why": [{"a": day(0, 0)}, {"a": day(0, 1)}, {"a": day(9, 1)}, {"a": "x"}, 3]})
    books.reward("home", 7, day(1, 3), 1200, why)
    first, second = told(books)
    assert (first.accepted, first.paid, first.pay) == (5, 2, [])
    assert (second.reports, second.paid) == (0, 0)
    assert second.pay == [accounts.Pay("points", "1200")]


def test_days_are_the_sites(books):
    books.reward("home", 1, BEGIN - 1, 5)
    books.reward("home", 2, BEGIN, 7)
    books.reward("home", 3, BEGIN + WORLD["DAY_MS"] - 1, 11)
    books.reward("home", 4, BEGIN + 3 * WORLD["DAY_MS"], 13)
    books.reward("home", 5, None, 17)
    (only,) = told(books)
    assert [(one.amount, one.unit) for one in only.pay] == [("18", "points")]
    with open_reader(books.path) as reader:
        assert reader.accounts().undated() == {"home": 17}


def test_a_price_holds_until_the_next_and_the_networks_own_goes_first(books):
    for number in range(3):
        books.reward("home", number, day(number), 100)
        enter(books, PayoutEntry("akash", day(number), "AKT", Decimal("0.5")))
    price(books, "points", "0.01", 1)
    price(books, "points", "0.02", 2)
    price(books, "points", "9", 0, currency="USD")
    price(books, "AKT", "3", 0)
    price(books, "AKT", "4", 2, network="akash")
    values = {(one.day[-1], one.network): one.pay[0].value for one in told(books)}
    assert values == {
        ("1", "akash"): "1.5", ("1", "home"): None,
        ("2", "akash"): "1.5", ("2", "home"): "1",
        ("3", "akash"): "2", ("3", "home"): "2",
    }  # fmt: skip
    assert all(one.pay[0].value is None for one in told(books, currency=None))
    price(books, "points", "0.05", 1)
    assert [one.pay[0].value for one in told(books, network="home")] == [None, "5", "2"]


AMOUNTS = st.decimals(-(10**12), 10**12, allow_nan=False, places=9)
ENTRIES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 3 * 86_400_000 - 1), st.sampled_from(["x", "y"]), AMOUNTS),
    max_size=12,
)


@settings(max_examples=25)
@given(ENTRIES, st.randoms())
def test_days_add_up_exactly_in_any_order_and_twice_is_once(found, source: random.Random):
    with tempfile.TemporaryDirectory() as folder:
        check_sums(Books(Path(folder)), found, source)


def check_sums(books, found, source):
    entries = [PayoutEntry(network, BEGIN + at, unit, amount) for network, at, unit, amount in found]
    assert enter(books, *entries) == len(entries)
    source.shuffle(entries)
    assert enter(books, *entries) == 0
    sums = {}
    for one in told(books):
        for pay in one.pay:
            sums[one.network, pay.unit] = sums.get((one.network, pay.unit), 0) + Decimal(pay.amount)
    assert sums == {
        (network, unit): total
        for network in "ab"
        for unit in "xy"
        if any(one[:3:2] == (network, unit) for one in found)
        for total in [sum(one[3] for one in found if one[:3:2] == (network, unit))]
    }
    with open_reader(books.path) as reader:
        assert len(accounts.payments(reader, asked())) == len(entries)


@given(AMOUNTS)
def test_amounts_are_plain_digits(amount):
    text = plain(amount)
    assert Decimal(text) == amount
    assert "E" not in text
    assert payfile.number_of(text) == amount


CELLS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S")), min_size=1, max_size=20)
TIMES = st.integers(0, 4_000_000_000_000)


@given(st.lists(st.tuples(CELLS, CELLS, CELLS, AMOUNTS, TIMES), min_size=1, max_size=8))
def test_a_file_is_read_as_it_was_written(rows):
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["Network", "unit", "reference", "AMOUNT", "time"])
    for *texts, amount, at in rows:
        writer.writerow([*texts, plain(amount), dt.datetime.fromtimestamp(at / 1000, dt.UTC).isoformat()])
    with tempfile.NamedTemporaryFile("w", encoding="utf-8-sig", newline="") as file:
        file.write(out.getvalue())
        file.flush()
        found = payfile.read_payouts(Path(file.name), BERLIN, {})
    assert [(one.network, one.unit, one.reference, one.amount, one.at_ms) for one in found] == rows


@given(st.text(max_size=200))
def test_any_file_gives_payouts_or_a_sentence(text):
    with tempfile.NamedTemporaryFile() as file, contextlib.suppress(ConfigError):
        file.write(("amount,day\n" + text).encode(errors="surrogatepass"))
        file.flush()
        payfile.read_payouts(Path(file.name), BERLIN, {"network": "a", "unit": "b"})


def test_a_day_without_a_time_is_the_sites():
    assert payfile.time_of("2026-11-01", ZoneInfo(BERLIN)) == BEGIN
    assert payfile.time_of("2026-11-01T00:00:00+01:00", ZoneInfo("UTC")) == BEGIN
    for text in ("", "yesterday", "1950-01-01", "2026-13-01"):
        with pytest.raises(ConfigError):
            payfile.time_of(text, ZoneInfo(BERLIN))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("day,unit\n2026-11-01,AKT\n", "no column 'amount'"),
        ("day,amount\n2026-11-01,1,5\n", "line 2: 3 cells, but 2 columns"),
        ("day;amount\n2026-11-01;1,5\n", "line 2: '1,5' is no amount"),
        ("day,amount\n2026-11-01,1e5\n", "is no amount"),
        ("day,amount\n2026-11-01,1\nsoon,2\n", "line 3: 'soon' is no time"),
        ("amount\n1\n", "line 2: '' is no time"),
        ('day,amount\n2026-11-01,"1\n', "unexpected end of data"),
        ("day,amount,network\n2026-11-01,1,\n2026-11-01,1,b\n", "line 2: there is no network"),
    ],
)
def test_bad_files_are_refused_whole(wattness, books, tmp_path, text, sentence):
    file = tmp_path / "in.csv"
    file.write_text(text)
    network = () if "network" in text else ("--network", "akash")
    code, _, error = wattness("rewards", "import", str(file), "--unit", "AKT", *network)
    assert code == 2
    assert sentence in error
    assert told(books) == []


@pytest.fixture
def wattness(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WATTNESS_HOME", str(tmp_path))
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["wattness", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code, output.out, output.err

    return run


def test_the_owner_imports_prices_and_exports(wattness, books, tmp_path):
    books.job("home", books.interval(1, "pv", day(0)), "completed")
    books.reward("home", 3, day(0), 250)
    file = tmp_path / "akash.csv"
    file.write_text(
        "day;amount;reference\n2026-11-01;1.25;0xab\n2026-11-01;1.25;\n2026-11-01;1.25;\n2026-11-02;2;=1+1\n"
    )
    arguments = ("rewards", "import", str(file), "--network", "akash", "--unit", "AKT")
    assert wattness(*arguments) == (0, "4 new payouts, 0 known already\n", "")
    assert wattness(*arguments)[1] == "0 new payouts, 4 known already\n"
    assert wattness("rewards", "price", "AKT", "3.20", "--day", "2026-11-01")[:2] == (0, "1 prices\n")
    (tmp_path / "prices.csv").write_text("day,price\n2026-11-02,4\n")
    assert wattness("rewards", "price", "AKT", "--import", str(tmp_path / "prices.csv"))[:2] == (0, "1 prices\n")
    shown = wattness("rewards", "price")[1]
    assert shown == "2026-11-01  1 AKT = 3.2 EUR\n2026-11-02  1 AKT = 4 EUR\n"
    reach = ("--from", "2026-11-01", "--to", "2026-11-03")
    rows = list(csv.DictReader(io.StringIO(wattness("rewards", "export", "--csv", *reach)[1])))
    assert [(row["day"], row["network"], row["amount"], row["value"]) for row in rows] == [
        ("2026-11-01", "akash", "3.75", "12"),
        ("2026-11-01", "home", "250", ""),
        ("2026-11-02", "akash", "2", "8"),
    ]
    assert (rows[1]["accepted"], rows[1]["currency"], rows[0]["accepted"]) == ("1", "EUR", "0")
    rows = list(csv.DictReader(io.StringIO(wattness("rewards", "export", "--each", *reach)[1])))
    assert [(row["reference"], row["source"]) for row in rows] == [
        ("", "owner"), ("", "owner"), ("0xab", "owner"), ("epoch 3", "network"), ("'=1+1", "owner"),
    ]  # fmt: skip
    out = tmp_path / "tax.csv"
    assert wattness("rewards", "export", *reach, "--out", str(out))[0] == 0
    assert (
        wattness("rewards", "export", *reach, "--out", str(out))[2] == f"{out} exists already; choose another name.\n"
    )


def test_the_list_shows_what_is_known_and_what_is_not(wattness, books):
    reach = ("--from", "2026-11-01", "--to", "2026-11-03")
    assert "No reports and no pay" in wattness("rewards", "list", *reach)[1]
    books.job("home", books.interval(1, "pv", day(0)), "completed")
    books.reward("home", 3, day(0), 250)
    enter(books, PayoutEntry("akash", day(1), "AKT", Decimal("0.001")))
    price(books, "AKT", "3", 0)
    shown = wattness("rewards", "list", *reach)[1]
    assert "home paid 250 points" in shown
    assert "worth 0.003 EUR; 1 amounts have no price" in shown
    found = json.loads(wattness("rewards", "list", "--json", "--network", "home", *reach)[1])
    assert [(one["day"], one["accepted"], one["paid"]) for one in found] == [("2026-11-01", 1, None)]
    for wrong in (("--from", "soon"), ("--from", "2026-11-05", "--to", "2026-11-01"), ("--from", "1900-01-01")):
        code, _, error = wattness("rewards", "list", *wrong)
        assert (code, bool(error)) == (2, True)


@pytest.mark.parametrize(
    "arguments",
    [("AKT",), ("AKT", "cheap"), ("AKT", "-1"), ("AKT", "1", "--day", "soon"), ("AKT", "1", "--currency", "euro")],
)
def test_bad_prices_are_refused(wattness, books, arguments):
    code, _, error = wattness("rewards", "price", *arguments)
    assert (code, bool(error)) == (2, True)
    assert wattness("rewards", "price")[1] == ""


def test_without_a_store_nothing_is_entered(wattness, tmp_path):
    (tmp_path / "gateway.toml").write_text("")
    assert "run the gateway once" in wattness("rewards", "price", "AKT", "1", "--currency", "EUR")[2]
