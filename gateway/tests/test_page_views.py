"""The page in a real browser, on a home with a week behind it: what it shows, to whom, and how it looks."""

import runpy
from pathlib import Path

import pytest

_browser = runpy.run_path(str(Path(__file__).with_name("page_browser.py")))
_world = runpy.run_path(str(Path(__file__).with_name("page_world.py")))
chromium, visiting, axe_source, violations = (
    _browser[name] for name in ("chromium", "visiting", "axe_source", "violations")
)

pytestmark = pytest.mark.xdist_group("page")  # one house and one browser

VIEWS = {
    "now": ".strip-value",
    "history": ".plot canvas",
    "boards": "article.board",
    "quality": "li.verdict",
    "networks": "article.network",
    "settings": "#settings-toml",
}
LOOKS = {
    "desktop-light": (False, False),
    "desktop-dark": (False, True),
    "phone-light": (True, False),
    "phone-dark": (True, True),
}

# Tables that are wider than their place, so that their last columns are seen by scrolling only.
CUT_OFF = (
    "[...document.querySelectorAll('.table')].filter(one => one.offsetParent && one.scrollWidth > one.clientWidth + 1)"
    ".map(one => one.getAttribute('aria-label'))"
)


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with _world["House"](tmp_path_factory.mktemp("house")) as house:
        yield house


def settled(visit, view):
    """Show a view and wait until it has what it asked for."""
    visit.go(view)
    visit.page.wait_for_selector(f"{VIEWS[view.split('/')[0]]} >> visible=true")
    visit.page.wait_for_timeout(150)  # what it asked for is there; plots draw in the next frame


@pytest.mark.parametrize("look", LOOKS)
def test_every_view_fits(browser, house, look):
    phone, dark = LOOKS[look]
    with visiting(browser, house, phone=phone, dark=dark) as visit:
        visit.enter()
        for view in VIEWS:
            settled(visit, view)
            visit.picture(f"{view}-{look}")
            assert visit.overflow() <= 0, view
            assert visit.page.evaluate(CUT_OFF) == [], view
            assert visit.page.title() == f"{visit.text('#title')} – Wattness"


@pytest.mark.parametrize("look", ["desktop-light", "phone-dark"])
def test_every_view_is_accessible(browser, house, look):
    source = axe_source()
    phone, dark = LOOKS[look]
    with visiting(browser, house, phone=phone, dark=dark) as visit:
        visit.enter()
        for view in VIEWS:
            settled(visit, view)
            assert violations(visit, source) == [], view


def test_flow_says_direction_in_words(browser, house):
    with visiting(browser, house) as visit:
        visit.enter("now")
        visit.wait_text(".flow-told", "worked out from the others")
        told = visit.text(".flow-told")
        assert told.startswith("Solar is generating ")
        assert "the grid is exporting" in told
        assert "the battery is charging at" in told
        names = visit.page.eval_on_selector_all(
            ".flow-node:not([hidden])", "all => all.map(one => one.innerText.replace(/\\s+/g, ' ').trim())"
        )
        assert any(name.startswith("Grid exporting") for name in names)
        visit.wait_text(".figures", "Solar: generated")
        assert "kWh" in visit.text(".figures")
        assert "wattnet does not take reports" in visit.text(".findings")


def test_silence_is_unknown_and_never_zero(browser, house):
    clock, before = _world["StillClock"], _world["StillClock"].now
    with visiting(browser, house) as visit:
        try:
            clock.now = before + _world["HOUR"]
            visit.enter("now")
            visit.wait_text(".flow-told", "Solar is unknown")
            values = visit.page.eval_on_selector_all(
                ".flow-node:not([hidden]) strong", "all => all.map(one => one.innerText)"
            )
            assert set(values) == {"unknown"}
            visit.wait_text(".strips", "last seen")
            assert "roof is silent for" in visit.text(".findings")
            visit.picture("silent-desktop-light")
        finally:
            clock.now = before


def test_new_rows_come_by_themselves(browser, house):
    with visiting(browser, house) as visit:
        visit.enter("now")
        visit.page.wait_for_selector(".strip-value")
        watts = _world["minute_later"](house)
        visit.wait_text(".strips", f"{watts / 1000:.2f}\u202fkW")
        visit.wait_text(".flow-told", f"{watts / 1000:.2f}\u202fkW")


def test_gap_is_a_gap_in_plot_words_and_table(browser, house):
    with visiting(browser, house) as visit:
        visit.enter()
        settled(visit, "history/3/day/2026-06-11")
        plot = visit.page.locator(".plot[role=slider]")
        assert "1 gap" in plot.get_attribute("aria-label")
        assert plot.get_attribute("aria-label").startswith("Battery · cellar, power")
        # The middle of the gap is hatched, not drawn as a line: the row under the cursor there is none.
        box = plot.bounding_box()
        visit.page.mouse.move(box["x"] + 66 + (box["width"] - 78) * 11.5 / 24, box["y"] + 100)
        visit.wait_text(".reading", "From ")
        visit.page.mouse.move(box["x"] + 66 + (box["width"] - 78) * 8 / 24, box["y"] + 100)
        visit.wait_text(".reading", "11 Jun, 08:0")
        visit.page.click("summary:has-text('table')")
        visit.wait_text(".as-table tbody", "09:00")
        rows = visit.page.eval_on_selector_all(".as-table tbody th", "all => all.map(one => one.innerText)")
        assert [row for row in rows if "11:00" in row or "12:00" in row] == []
        assert len(rows) == 24 - 3
        visit.picture("gap-desktop-light")
        assert "85\u202f%" in visit.part(1)


def test_time_is_stepped_and_kept_in_the_address(browser, house):
    with visiting(browser, house) as visit:
        visit.enter()
        settled(visit, "history")
        assert visit.text("#history-title") == "Friday, 12 June 2026"
        assert visit.page.is_disabled("[aria-label=Later]")
        visit.page.click("[aria-label=Earlier]")
        visit.wait_text("#history-title", "Thursday, 11 June 2026")
        assert visit.page.url.endswith("#history/1/day/2026-06-11/power")
        visit.page.click("text=Week")
        visit.wait_text("#history-title", "8 Jun 2026 – 14 Jun 2026")
        visit.wait_text("#view", "96 accepted")
        visit.picture("history-week-desktop-light")
        visit.page.click("[aria-label=Earlier]")
        visit.wait_text("#history-title", "1 Jun 2026 – 7 Jun 2026")
        visit.page.click("text=Year")
        visit.wait_text("#history-title", "2026")
        visit.wait_text("#view", "June 2026")
        visit.picture("history-year-desktop-light")
        visit.page.select_option("#history-point", "voltage")
        visit.wait_text(".reading", "V")
        visit.page.reload()
        visit.wait_text("#history-title", "2026")
        assert visit.page.input_value("#history-point") == "voltage"


def test_everything_is_done_by_keyboard(browser, house):
    with visiting(browser, house) as visit:
        visit.enter("now")
        visit.page.reload()
        visit.page.wait_for_selector("#link.good")
        press = visit.page.keyboard.press
        routes = [f"#{view}" for view in VIEWS]  # an element of that name would be jumped to
        assert [one for one in routes if visit.page.query_selector(one)] == []
        press("Tab")
        assert visit.focused() == "Skip to the content"
        press("Enter")
        assert visit.focused() == "Now"
        visit.page.focus("#nav a[href='#history']")
        press("Enter")
        visit.page.wait_for_selector(".plot[role=slider]")
        assert visit.focused() == "History"
        plot = visit.page.locator(".plot[role=slider]")
        plot.focus()
        before = plot.get_attribute("aria-valuetext")
        for key in ("End", "ArrowLeft", "ArrowLeft"):
            press(key)
        after = plot.get_attribute("aria-valuetext")
        assert before != after
        assert "W" in after
        visit.wait_text(".reading", after)
        shape = visit.page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert shape == "solid"
        visit.page.focus("#nav a[href='#boards']")
        press("Enter")
        visit.page.wait_for_selector("article.board")
        visit.page.focus(".lead button")
        press("Enter")
        visit.page.wait_for_selector("dialog[open]")
        for _ in range(12):  # the focus stays in the dialog, or in the browser itself
            press("Tab")
            assert visit.page.evaluate(
                "() => document.activeElement === document.body || Boolean(document.activeElement.closest('dialog'))"
            )
        press("Escape")
        visit.page.wait_for_selector("dialog", state="detached")
        assert visit.focused() == "Enrol a board"


def test_boards_tell_their_health_and_who_signed(browser, house):
    with visiting(browser, house) as visit:
        visit.enter()
        settled(visit, "boards")
        cards = {card.splitlines()[0]: card for card in visit.page.locator("article.board").all_inner_texts()}
        assert "Signed by the board" in cards["roof"]
        assert "−58\u202fdBm, strong" in cards["roof"]
        assert "Bus use\n18\u202f%" in cards["roof"]
        assert "Battery\n87\u202f%" in cards["cellar"]
        assert "Read by the gateway" in cards["carport"]
        assert "Signed by the board" not in cards["carport"]
        visit.page.click("article.board summary >> nth=0")
        assert "<b>power on</b>" in visit.text("article.board >> nth=0")
        looks = [
            visit.page.eval_on_selector(
                f".provenance-{who}", "one => getComputedStyle(one).borderStyle + getComputedStyle(one).backgroundColor"
            )
            for who in ("board", "gateway")
        ]
        assert looks[0] != looks[1]


def test_devices_tell_how_they_answer_and_who_shares_them(browser, house):
    with visiting(browser, house) as visit:
        visit.enter()
        visit.go("boards")
        visit.page.wait_for_selector("article.device >> nth=1")
        cards = {card.splitlines()[0]: card for card in visit.page.locator("article.device").all_inner_texts()}
        assert "metering" in cards["carport"]
        assert "Shared at 127.0.0.1:1502\n3 clients" in cards["carport"]
        assert "12\u202f031 cache, 44 device" in cards["carport"]
        assert "2 write not allowed" in cards["carport"]
        assert "silent" in cards["heat pump"]
        assert "<b>look</b> at the wires" in cards["heat pump"]


def test_verdicts_have_reasons_in_plain_words(browser, house):
    with visiting(browser, house) as visit:
        visit.enter()
        settled(visit, "quality")
        assert "quarantined" in visit.text("li.verdict >> nth=0")
        assert len(visit.text("li.verdict ul >> nth=0")) > 40
        assert "_" not in visit.text("li.verdict >> nth=0")
        visit.page.select_option("#quality-stream", label="Battery · cellar")
        visit.wait_text("#view", "Nothing to object to")


def test_networks_tell_what_waits_and_what_was_paid(browser, house):
    with visiting(browser, house) as visit:
        visit.enter()
        settled(visit, "networks")
        card = visit.text("article.network")
        assert "3, the oldest for" in card
        assert "rcpt-" in card
        assert "503 The network is being maintained" in card
        visit.wait_text("#view", "wattnet (points)")
        assert "Thu 11 Jun" in visit.part(0)
        assert "wattnet: accepted" in visit.part(1)
        visit.page.click("text=Show older")
        visit.page.wait_for_function(
            "() => document.querySelectorAll('#view > div:not([hidden]) section:nth-of-type(2) tbody tr').length > 12"
        )


def test_networks_account_for_each_day(browser, house):
    with visiting(browser, house) as visit:
        visit.enter()
        settled(visit, "networks")
        visit.wait_text("#view", "Worth")
        told = visit.part(2)
        assert "Fri 12 Jun" in told
        assert "not told" in told
        assert "points" in told
        assert "amounts have no price" in told
        loads = visit.part(3)
        assert "akash" in loads
        assert "0.60 EUR" in loads
        assert "0.25 AKT" in loads


def test_another_view_at_an_unknown_address_is_now(browser, house):
    with visiting(browser, house) as visit:
        visit.enter()
        visit.page.evaluate("() => { location.hash = 'nothing/%E0%A4%A/<b>'; }")
        visit.page.wait_for_selector(".flow-node")
        assert visit.text("#title") == "Now"
