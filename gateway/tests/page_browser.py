"""A real Chromium that visits the page and notes whatever it should not have done; loaded by `runpy`."""

import shutil
import subprocess
import tarfile
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARTEFACTS = Path(__file__).parents[2] / ".artefacts" / "page"
AXE = "axe-core@4.10.3"  # MPL-2.0: fetched for tests, never shipped
DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
PATIENCE_MS = 15_000


@contextmanager
def chromium():
    """Start the system's Chromium."""
    if CHROMIUM is None:
        pytest.skip("CHROMIUM IS NOT INSTALLED: the page was not tested in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """One browser's visit to a house."""

    def __init__(self, house, context) -> None:
        self.house, self.context = house, context
        self.page = context.new_page()
        self.page.set_default_timeout(PATIENCE_MS)
        self.trouble = []  # messages of the console, errors of scripts, requests to somebody else
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda error: self.trouble.append(f"error: {error}"))
        self.page.on("request", self._asked)

    def _said(self, message):
        if message.type in {"error", "warning"}:
            self.trouble.append(f"{message.type}: {message.text}")

    def _asked(self, request):
        if not request.url.startswith((self.house.address, "data:", "blob:")):
            self.trouble.append(f"request: {request.url}")

    def open(self, place=""):
        self.page.goto(f"{self.house.address}{place}")

    def enter(self, view="now"):
        """Log in by the address, and wait until values are live."""
        self.open(f"#token={self.house.token}")
        self.page.wait_for_selector("#link.good")
        self.go(view)

    def go(self, view):
        self.page.evaluate("place => { location.hash = place; }", view)
        self.page.wait_for_function(
            "name => document.querySelector(`#nav a[href='#${name}'][aria-current]`)", arg=view.split("/")[0]
        )

    def text(self, selector):
        return self.page.inner_text(selector)

    def part(self, number):
        """Return the text of a section of the view that is shown."""
        return self.text(f"#view > div:not([hidden]) section >> nth={number}")

    def wait_text(self, selector, text):
        self.page.wait_for_function(
            "([selector, text]) => document.querySelector(selector)?.innerText.includes(text)", arg=[selector, text]
        )

    def picture(self, name):
        """Keep a picture of the whole page."""
        ARTEFACTS.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=ARTEFACTS / f"{name}.png", full_page=True)

    def focused(self):
        """Return what has the focus, as a person would name it."""
        return self.page.evaluate(
            "() => (one => one.ariaLabel || one.innerText || one.id || '')(document.activeElement).trim()"
        )

    def overflow(self):
        """Return how far the page is wider than the window."""
        return self.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")


@contextmanager
def visiting(browser, house, *, phone=False, dark=False, expected=()):
    """Visit a house; afterwards nothing may have gone wrong but what is `expected`, by a part of its text."""
    context = browser.new_context(
        viewport=PHONE if phone else DESKTOP,
        has_touch=phone,
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
        locale="en-GB",
    )
    visit = Visit(house, context)
    try:
        yield visit
        assert [one for one in visit.trouble if not any(part in one for part in expected)] == []
    finally:
        context.close()


def axe_source():
    """Return the source of axe-core; skips where it cannot be fetched."""
    file = ARTEFACTS.parent / "axe.min.js"
    if not file.exists():
        if shutil.which("npm") is None:
            pytest.skip("NPM IS NOT INSTALLED: the page was not checked for accessibility")
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as folder:  # others may fetch it at this moment
            packed = subprocess.run(
                ["npm", "pack", AXE, "--silent"], cwd=folder, capture_output=True, timeout=50, check=False
            )
            if packed.returncode:
                pytest.skip("AXE-CORE COULD NOT BE FETCHED: the page was not checked for accessibility")
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as tar:
                member = tar.extractfile("package/axe.min.js")
                Path(folder, file.name).write_bytes(member.read())
            Path(folder, file.name).replace(file)
    return file.read_text()


def violations(visit, source):
    """Return what axe-core objects to, in one line each."""
    if not visit.page.evaluate("() => 'axe' in window"):
        visit.page.evaluate(source)
    found = visit.page.evaluate(
        "() => axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']})"
    )
    return [f"{one['id']}: {node['html'][:160]}" for one in found["violations"] for node in one["nodes"]]
