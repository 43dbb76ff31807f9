"""A browser that posts nonsense: schemathesis over the whole OpenAPI of a gateway's web room with a real store."""

import asyncio
import runpy
import threading
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import positive_data_acceptance

from wattness.web.api import Api
from wattness.web.gate import LOGIN, METRICS
from wattness.web.manage import Manage
from wattness.web.past import Past
from wattness.web.queries import Nothing
from wattness.web.streaming import SENML

_store_world = runpy.run_path(str(Path(__file__).with_name("store_world.py")))
_web_world = runpy.run_path(str(Path(__file__).with_name("web_world.py")))


ASKED = ("POST", LOGIN), ("GET", SENML)  # besides the rooms' own
FITTING, UNFITTING = schemathesis.GenerationMode
UNSAID = [positive_data_acceptance]  # a schema cannot say which numbers are points of P-256, or which days are in order


class Gateway(threading.Thread):
    """The web room and its store in a loop of their own; `address` and `token` once it is ready."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.token, self.address = folder, _web_world["make_home"](folder), ""
        self.ready = threading.Event()

    def run(self):
        asyncio.run(self.serve())

    async def serve(self):
        self.loop, self.stopped = asyncio.get_running_loop(), asyncio.Event()
        author = _store_world["make_author"]()
        path = _store_world["enrolled"](self.folder, author)
        try:
            async with AsyncExitStack() as stack:
                store = await stack.enter_async_context(_store_world["opened"](path))
                await _store_world["put"](store, *author.frames)
                given = _web_world["sources"](store, self.folder, _store_world["CLOCK"])
                self.address = await stack.enter_async_context(_web_world["running"](given))
                self.ready.set()
                await self.stopped.wait()
        finally:
            self.ready.set()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    thread = Gateway(tmp_path_factory.mktemp("home"))
    thread.start()
    thread.ready.wait()
    assert thread.address
    yield thread
    thread.loop.call_soon_threadsafe(thread.stopped.set)
    thread.join()


@pytest.fixture(scope="module")
def session(gateway):
    """A browser that is logged in; wrong bearers would only make everybody wait."""
    with requests.Session() as session:
        session.headers["X-Wattness"] = "1"
        assert session.post(f"{gateway.address}api/v1/login", json={"token": gateway.token}).status_code == 204
        yield session


@pytest.fixture(scope="module")
def ask(gateway, session):
    """Ask one operation, by requests that fit its description or do not; every answer must fit."""
    document = session.get(f"{gateway.address}api/openapi.json").json()
    del document["security"], document["components"]["securitySchemes"]  # the session has its cookie
    schema = schemathesis.openapi.from_dict(document)

    def ask(method, path, mode):
        @settings(max_examples=15, deadline=None, derandomize=True, database=None, suppress_health_check=HealthCheck)
        @given(schema[path][method].as_strategy(generation_mode=mode))
        def each(case):
            case.call_and_validate(base_url=gateway.address, session=session, excluded_checks=UNSAID)

        each()

    return ask


def operations():
    """Name every operation but those that never end, or end the session of this test."""
    given = _web_world["sources"](None, "")
    routes = [route for room in (Api, Past, Manage) for route in room(given).routes]
    every = [*((route.method, route.path) for route in routes), ("GET", METRICS), *ASKED]
    asked = [(route.method, route.path) for route in routes if route.body or route.parameters is not Nothing]
    return [(*one, FITTING) for one in every] + [(*one, UNFITTING) for one in (*asked, *ASKED)]


@pytest.mark.parametrize(("method", "path", "mode"), operations())
def test_no_request_makes_an_internal_error(method, path, mode, ask):
    ask(method, path, mode)
