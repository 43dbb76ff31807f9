"""The page in a real browser, on a gateway that is new: log-in, first board, settings, and a connection that goes."""

import json
import runpy
from pathlib import Path

import pytest

from emulator.author import Author

_browser = runpy.run_path(str(Path(__file__).with_name("page_browser.py")))
_world = runpy.run_path(str(Path(__file__).with_name("page_world.py")))
chromium, visiting, axe_source, violations = (
    _browser[name] for name in ("chromium", "visiting", "axe_source", "violations")
)
House, CONFIG = _world["House"], _world["CONFIG"]

KEY = Author(7, bytes(32), 0).public_key.hex()
EVIL = '<img src=x onerror="window.pwned=1">'
REFUSED = ("status of 401", "status of 429", "status of 400")


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def house(tmp_path):
    with House(tmp_path, seeded=False) as house:
        yield house


def enrol(visit, key, name):
    visit.page.click(".lead button")
    visit.page.fill("#enrol-key", key)
    visit.page.fill("#enrol-name", name)
    visit.page.click("dialog button[type=submit]")


def test_stranger_sees_only_the_form(browser, house):
    with visiting(browser, house, expected=REFUSED) as visit:
        visit.open("#boards")
        visit.page.wait_for_selector("#login:not([hidden])")
        assert visit.page.is_hidden("#page")
        assert visit.page.title() == "Log in – Wattness"
        assert visit.focused() == "token"
        visit.picture("login-desktop-light")
        visit.page.click("#login-go")
        assert "Enter the token" in visit.text("#login-problem")
        visit.page.fill("#token", "not the token")
        visit.page.keyboard.press("Enter")
        visit.wait_text("#login-problem", "This is not the gateway's token")
        assert "wattness token show" in visit.text("#login-problem")
        visit.page.fill("#token", house.token)
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector("#link.good")
        assert visit.page.evaluate("() => location.hash") == "#boards"
        assert visit.page.input_value("#token") == ""


def test_who_guesses_has_to_wait(browser, house):
    with visiting(browser, house, phone=True, dark=True, expected=REFUSED) as visit:
        visit.open()
        visit.page.wait_for_selector("#login:not([hidden])")
        for _ in range(20):
            visit.page.fill("#token", "a guess")
            with visit.page.expect_response("**/login") as answer:
                visit.page.click("#login-go")
            if answer.value.status == 429:
                break
        visit.wait_text("#login-problem", "Too many attempts. Wait ")
        visit.picture("login-phone-dark")


def test_token_in_the_address_logs_in_and_vanishes(browser, house):
    with visiting(browser, house) as visit:
        visit.open(f"#token={house.token}")
        visit.page.wait_for_selector("#link.good")
        assert visit.page.url == f"{house.address}#now"
        assert house.token not in visit.page.evaluate(
            "() => JSON.stringify(history.state) + document.documentElement.outerHTML"
        )
        cookies = visit.context.cookies()
        assert [(one["httpOnly"], one["sameSite"]) for one in cookies] == [(True, "Strict")]
        visit.page.reload()
        visit.page.wait_for_selector("#link.good")


def test_wrong_token_in_the_address_is_said(browser, house):
    with visiting(browser, house, expected=REFUSED) as visit:
        visit.open("#token=nonsense")
        visit.wait_text("#login-problem", "This is not the gateway's token")
        assert "nonsense" not in visit.page.url


def test_log_out_leaves_nothing_behind(browser, house):
    with visiting(browser, house, expected=REFUSED) as visit:
        visit.enter("settings")
        visit.wait_text("#view", "This gateway")
        visit.page.click("#logout")
        visit.page.wait_for_selector("#login:not([hidden])")
        assert visit.page.inner_html("#view") == ""
        visit.page.reload()
        visit.page.wait_for_selector("#login:not([hidden])")


def test_new_gateway_says_what_comes_next(browser, house):
    source = axe_source()
    with visiting(browser, house, phone=True) as visit:
        visit.enter()
        told = {
            "now": "No board yet", "history": "No stream yet", "boards": "No board is enrolled",
            "quality": "Nothing to object to", "networks": "Nothing paid yet",
        }  # fmt: skip
        for view, sentence in told.items():
            visit.go(view)
            visit.wait_text("#view", sentence)
            visit.picture(f"empty-{view}-phone-light")
            assert visit.overflow() <= 0, view
            assert violations(visit, source) == [], view


def test_board_is_enrolled_by_its_key_and_its_parts_are_shown_once(browser, house):
    with visiting(browser, house) as visit:
        visit.enter("boards")
        visit.page.click(".lead button")
        assert visit.page.evaluate("() => document.activeElement.id") == "enrol-key"
        visit.page.click("dialog button[type=submit]")
        assert "Paste the key" in visit.text("#enrol-problem")
        visit.page.fill("#enrol-key", KEY[:-4])
        visit.page.click("dialog button[type=submit]")
        assert "126 digits of 130" in visit.text("#enrol-problem")
        visit.page.fill("#enrol-key", f" {KEY[:65]}\n{KEY[65:]} ")
        visit.page.click("dialog button[type=submit]")
        assert "Give the board a name" in visit.text("#enrol-problem")
        visit.page.fill("#enrol-name", "shed")
        visit.picture("enrol-form-desktop-light")
        visit.page.click("dialog button[type=submit]")
        visit.wait_text("dialog", "shed is enrolled")
        visit.picture("enrol-parts-desktop-light")
        with visit.page.expect_download() as download:
            visit.page.click("text=Download as JSON")
        parts = json.loads(Path(download.value.path()).read_text())
        (board,) = house.call(house.store.boards())
        assert download.value.suggested_filename == f"wattness-{board.kid.hex()}.json"
        assert (parts["link_key"], parts["mqtt"]["password"]) == (board.link_key.hex(), board.password)
        assert parts["link_key"] in visit.text("dialog")
        visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        visit.page.click("dialog dl button >> nth=0")
        visit.wait_text("dialog dl button", "Copied")
        assert visit.page.evaluate("() => navigator.clipboard.readText()") == parts["link_key"]
        visit.page.keyboard.press("Escape")
        visit.wait_text("article.board", "shed")
        assert parts["link_key"] not in visit.page.content()
        visit.go("now")
        visit.wait_text(".findings", "shed has sent nothing yet")


def test_key_that_is_none_gets_the_gateways_sentence(browser, house):
    with visiting(browser, house, expected=REFUSED) as visit:
        visit.enter("boards")
        enrol(visit, "04" + "ab" * 64, "shed")
        visit.page.wait_for_selector("#enrol-problem:not([hidden])")
        assert len(visit.text("#enrol-problem")) > 20
        assert house.call(house.store.boards()) == []


def test_removal_is_asked_for_twice(browser, house):
    house.call(house.store.enrol(bytes.fromhex(KEY), "shed"))
    with visiting(browser, house) as visit:
        visit.enter("boards")
        visit.page.click("article.board >> text=Remove")
        visit.wait_text("dialog", "Remove shed?")
        assert visit.focused() == "Keep it"
        visit.picture("remove-desktop-light")
        visit.page.keyboard.press("Enter")
        visit.page.wait_for_selector("dialog", state="detached")
        assert len(house.call(house.store.boards())) == 1
        assert "Remove" in visit.focused()  # the focus comes back to where it was
        visit.page.keyboard.press("Enter")
        visit.page.click("text=Remove the board")
        visit.wait_text("#said", "shed is removed.")
        visit.wait_text("#view", "No board is enrolled")
        assert house.call(house.store.boards()) == []


def test_name_is_text_and_never_markup(browser, house):
    with visiting(browser, house) as visit:
        visit.enter("boards")
        enrol(visit, KEY, EVIL)
        visit.wait_text("dialog", f"{EVIL} is enrolled")
        visit.page.keyboard.press("Escape")
        visit.wait_text("article.board h2", EVIL)
        visit.page.click("article.board >> text=Remove")
        visit.wait_text("dialog", EVIL)
        visit.page.keyboard.press("Escape")
        for view in ("now", "history", "quality", "networks"):
            visit.go(view)
        visit.go("now")
        visit.wait_text(".findings", EVIL)
        assert visit.page.evaluate("() => window.pwned") is None
        assert visit.page.query_selector_all("img[src=x]") == []


def test_settings_are_seen_before_they_are_written(browser, house):
    file = house.home / "gateway.toml"
    with visiting(browser, house) as visit:
        visit.enter("settings")
        visit.page.wait_for_function("() => document.querySelector('#settings-toml')?.value.includes('length_s')")
        assert visit.page.is_disabled("text=Write them")
        visit.page.fill("#settings-toml", CONFIG.replace("length_s = 900", "length_s = 300"))
        visit.page.click("text=Check the changes")
        visit.wait_text(".changes", "interval.length_s")
        assert {"900", "300"} <= set(visit.text(".changes tbody").split())
        visit.picture("settings-dry-run-desktop-light")
        assert file.read_text() == CONFIG
        visit.page.type("#settings-toml", " ")
        assert visit.page.is_disabled("text=Write them")  # it is no longer what was checked
        visit.page.click("text=Check the changes")
        visit.page.click("button:has-text('Write them'):enabled")
        visit.wait_text("#view", "Restart the gateway")
        assert "length_s = 300" in file.read_text()
        assert file.with_name("gateway.toml.bak").read_text() == CONFIG


def test_bad_settings_are_refused_with_a_sentence(browser, house):
    with visiting(browser, house, phone=True, dark=True) as visit:
        visit.enter("settings")
        visit.page.wait_for_function("() => document.querySelector('#settings-toml')?.value.includes('length_s')")
        visit.page.fill("#settings-toml", CONFIG.replace("length_s = 900", 'length_s = "long"'))
        visit.page.click("text=Check the changes")
        visit.wait_text("#settings-problem", "length_s")
        assert "Nothing was written." in visit.text("#settings-problem")
        assert visit.page.is_disabled("text=Write them")
        visit.picture("settings-refused-phone-dark")
        visit.page.click("text=Put back what is written")
        assert visit.page.input_value("#settings-toml") == CONFIG
        assert (house.home / "gateway.toml").read_text() == CONFIG


def test_connection_that_goes_is_seen(browser, tmp_path):
    with House(tmp_path, seeded=False) as house:
        house.call(house.store.enrol(bytes.fromhex(KEY), "shed"))
        gone = ("ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED", "ERR_EMPTY_RESPONSE", "ERR_CONNECTION_RESET")
        with visiting(browser, house, expected=gone) as visit:
            visit.enter("now")
            assert visit.page.is_hidden("#stale")
            house.__exit__()
            visit.page.wait_for_selector("#stale:not([hidden])")
            assert "has not answered since" in visit.text("#stale")
            assert visit.text("#link") == "no connection"
            assert visit.page.is_visible("#view")
            visit.picture("stale-desktop-light")
