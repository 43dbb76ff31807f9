"""The whole gateway as a process: `wattness run` with real boards' frames, real brokers, real kills."""

import asyncio
import json
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import aiomqtt
import psutil
import pytest

from wattness import app, post
from wattness.config import load
from wattwire import cose, frame, link, p256

START_MS = 1_790_000_000_000
POINTS = [frame.Point("power", "W", 0, None), frame.Point("energy_export", "Wh", 0, None)]


class ScriptedBoard:
    """A board made of the shared wire code: its log is a list, its flash never fails."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.secret = secrets.token_bytes(31) + b"\x01"
        self.public_key = p256.public_key(self.secret)
        self.kid = cose.kid(self.public_key)
        self.payloads: list[bytes] = []
        self.acknowledged = 0
        self.commands: list[tuple] = []
        self.settings: dict = {}

    def begin(self, gateway: str) -> None:
        stream = frame.Stream("pv", "eastron_sdm120", bytes(16), 1, POINTS, None, 6000, None)
        self.seal(frame.KIND_STREAMS, frame.Streams([stream], {}, bytes.fromhex(gateway), None))
        self.streams_hash = frame.prev_of(self.payloads[0])

    def minute(self) -> None:
        """Seal a minute of rows, 10 s apart."""
        number = len(self.payloads)
        columns = [frame.delta([1000 + number] * 6), frame.delta([number * 60 + i * 10 for i in range(6)])]
        self.seal(frame.KIND_ROWS, frame.Rows(self.streams_hash, [frame.Entry(0, 0, 10_000, columns)]))

    def seal(self, kind: int, body: object) -> None:
        up = len(self.payloads) * 60_000
        prev = frame.prev_of(self.payloads[-1]) if self.payloads else bytes(16)
        record = frame.Record(kind, 1, len(self.payloads) + 1, prev, 1, up, START_MS + up, None, body, {})
        self.payloads.append(frame.encode(record))

    def frames(self) -> list[bytes]:
        return [cose.sign1(self.secret, self.kid, payload) for payload in self.payloads]

    def connection(self) -> aiomqtt.Client:
        mqtt = self.settings["mqtt"]
        options = {"username": mqtt["user"], "password": mqtt["password"], "timeout": 3}
        return aiomqtt.Client(mqtt["host"], mqtt["port"], **options)

    async def connect_again_and_again(self) -> None:
        while True:
            async with self.connection():
                await asyncio.sleep(0.05)

    async def deliver(self, *, skip: tuple[int, ...] = ()) -> None:
        """Send every frame oldest first, again and again, until all are acknowledged."""
        frames = self.frames()
        while self.acknowledged < len(frames):
            try:
                async with self.connection() as client, asyncio.TaskGroup() as tasks:
                    for leaf in ("ack", "cmd"):
                        await client.subscribe(link.topic(self.kid, leaf), qos=1)
                    listener = tasks.create_task(self.listen(client))
                    while self.acknowledged < len(frames):
                        for number in range(self.acknowledged, min(self.acknowledged + 8, len(frames))):
                            if number + 1 not in skip:
                                await client.publish(link.topic(self.kid, "frame"), frames[number], qos=1)
                        await asyncio.sleep(0.05)
                        if self.commands:
                            skip = ()
                    listener.cancel()
            except* aiomqtt.MqttError:
                await asyncio.sleep(0.1)

    async def listen(self, client: aiomqtt.Client) -> None:
        key = bytes.fromhex(self.settings["link_key"])
        async for message in client.messages:
            body = link.open(key, message.topic.value, message.payload)
            if message.topic.value.endswith("/ack"):
                log, seq, _ = link.decode_ack(body)
                assert log == 1
                self.acknowledged = max(self.acknowledged, seq)
            else:
                self.commands.append(link.decode_command(body))


class Home:
    """A gateway's home and what an operator does with it."""

    def __init__(self, folder: Path, broker_port: int, web_port: int) -> None:
        self.folder, self.process = folder, None
        self.page = f"http://127.0.0.1:{web_port}"
        self.cli("init")
        (folder / "gateway.toml").write_text(
            f'[mqtt]\nlisten = "127.0.0.1:{broker_port}"\n[web]\nlisten = "127.0.0.1:{web_port}"\n'
            f"[clock]\nreal_ms = {time.time_ns() // 1_000_000}\ncivil_ms = {START_MS + 7_200_000}\n"
        )
        self.gateway = json.loads(self.cli("key", "new"))["gateway"]
        self.headers = {"Authorization": f"Bearer {self.cli('token', 'show').strip()}"}

    def configure(self, text: str) -> None:
        (self.folder / "gateway.toml").write_text(text)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "wattness", "--home", str(self.folder), *arguments]

    def cli(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(self.command(*arguments), capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    def enrol(self, board: ScriptedBoard) -> None:
        out = self.folder / "board.json"
        self.cli("board", "enrol", board.public_key.hex(), "--name", board.name, "--out", str(out), "--force")
        assert out.stat().st_mode & 0o777 == 0o600
        board.settings = json.loads(out.read_text())
        if not board.payloads:
            board.begin(board.settings["gateway"])

    async def start(self) -> str:
        pipe = asyncio.subprocess.PIPE
        self.process = await asyncio.create_subprocess_exec(*self.command("run"), stdout=pipe)
        return (await self.process.stdout.readline()).decode()

    async def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return await self.process.wait()

    async def ask(self, path: str):
        async with (
            aiohttp.ClientSession(headers=self.headers) as session,
            session.get(f"{self.page}/api/v1/{path}") as response,
        ):
            return await response.json()


@pytest.fixture
async def home(tmp_path, free_ports):
    house = Home(tmp_path / "home", *free_ports(2))
    yield house
    if house.process is not None and house.process.returncode is None:
        await house.stop(signal.SIGKILL)
    left = [process for process in psutil.process_iter(["cmdline"]) if str(tmp_path) in str(process.info["cmdline"])]
    _, alive = psutil.wait_procs(left, timeout=10)
    assert not alive


@asynccontextmanager
async def running(home):
    line = await home.start()
    assert line.startswith("ready page=http://127.0.0.1:"), line
    yield line
    assert await home.stop() == 0


async def test_frames_of_two_boards_are_stored_acknowledged_and_shown(home):
    boards = [ScriptedBoard("roof"), ScriptedBoard("cellar")]
    for board in boards:
        home.enrol(board)
        for _ in range(20):
            board.minute()
    async with running(home):
        async with asyncio.TaskGroup() as tasks:
            for board in boards:
                tasks.create_task(board.deliver())
        shown = await home.ask("boards")
        assert [(one["name"], one["log"]["head"], one["log"]["frames"]) for one in shown] == [
            ("roof", 21, 21),
            ("cellar", 21, 21),
        ]
        streams = await home.ask("streams")
        assert [(one["role"], one["leading"]["name"]) for one in streams] == [("pv", "power")] * 2
        rows = await home.ask(f"streams/{streams[0]['id']}/rows")
        assert len(rows["rows"]) == 120
        assert rows["rows"][0] == [START_MS + 60_000, 1001]
    lines = [json.loads(line) for line in home.cli("export", "rows", "--board", "roof").splitlines()]
    assert len(lines) == 120
    assert lines[7]["unix_ms"] == START_MS + 120_000 + 10_000
    assert lines[7]["points"] == {"power": 1002.0, "energy_export": 130.0}
    assert home.cli("export", "rows", "--format", "csv").count("\n") == 1 + 2 * 2 * 120
    intervals = [json.loads(line) for line in home.cli("export", "intervals").splitlines()]
    assert len({(one["board_key"], one["a"]) for one in intervals}) == len(intervals) >= 2
    assert home.cli("export", "intervals", "--format", "csv").count("\n") == 1 + len(intervals)


async def test_killed_gateway_loses_nothing(home):
    board = ScriptedBoard("roof")
    home.enrol(board)
    for _ in range(60):
        board.minute()
    await home.start()
    delivery = asyncio.create_task(board.deliver())
    for kill_at in (10, 30):
        while board.acknowledged < kill_at:
            await asyncio.sleep(0.01)
        assert await home.stop(signal.SIGKILL) == -signal.SIGKILL
        assert (await home.start()).startswith("ready")
    await delivery
    assert await home.stop() == 0
    assert sorted(home.cli("export", "frames").split()) == sorted(raw.hex() for raw in board.frames())


async def test_board_enrolled_while_running_gets_in_and_a_removed_one_is_out(home):
    board = ScriptedBoard("late")
    async with running(home):
        home.enrol(board)
        board.minute()
        await board.deliver()
        home.cli("board", "remove", "late")
        board.minute()
        while True:
            try:
                async with board.connection():
                    await asyncio.sleep(0.1)
            except aiomqtt.MqttError:
                break


async def test_hole_is_asked_for(home, monkeypatch):
    monkeypatch.setattr(post, "RESEND_S", (0.3, 0.6))
    monkeypatch.setattr(app, "HOLES_S", 0.1)
    board = ScriptedBoard("roof")
    home.enrol(board)
    for _ in range(4):
        board.minute()
    async with app.gateway(load(home.folder)):
        await board.deliver(skip=(3,))
        assert board.commands[0][1:] == ("resend", [1, 3])


async def test_frames_that_nobody_signed_are_counted(home):
    board = ScriptedBoard("roof")
    home.enrol(board)
    async with running(home):
        good, mqtt = board.frames()[0], board.settings["mqtt"]
        async with aiomqtt.Client(
            mqtt["host"], mqtt["port"], username=mqtt["user"], password=mqtt["password"]
        ) as client:
            for raw in (good[:-1] + bytes([good[-1] ^ 1]), good[:-1], b"", b"\xff" * 100):
                await client.publish(link.topic(board.kid, "frame"), raw, qos=1)
            await board.deliver()
        while sum((await home.ask("counters"))["counters"].get("rejected", {}).values()) < 4:
            await asyncio.sleep(0.1)
        assert (await home.ask("counters"))["counters"]["rejected"]["bad_signature"] == 1
        assert board.acknowledged == 1


async def test_killed_broker_is_replaced(home):
    board = ScriptedBoard("roof")
    home.enrol(board)
    async with running(home):
        await board.deliver()
        children = psutil.Process(home.process.pid).children()
        (broker,) = [child for child in children if "nats-server" in child.name()]
        broker.kill()
        for _ in range(3):
            board.minute()
        await board.deliver()
        assert (await home.ask("status"))["broker"]["restarts"] == 1


async def test_mosquitto_works_unchanged(home, mosquitto):
    board = ScriptedBoard("roof")
    async with mosquitto() as broker:
        (home.folder / "mqtt.password").write_text(broker.endpoint.password)
        (home.folder / "mqtt.password").chmod(0o600)
        listen = home.page.removeprefix("http://")
        home.configure(
            f'[mqtt]\nurl = "mqtt://gateway@127.0.0.1:{broker.endpoint.port}"\npassword_file = "mqtt.password"\n'
            f'[web]\nlisten = "{listen}"\n'
        )
        home.enrol(board)
        await broker.stop()
        broker.admit([(board.settings["mqtt"]["user"], board.settings["mqtt"]["password"])])
        await broker.start()
        board.minute()
        async with running(home):
            await board.deliver()
            assert (await home.ask("status"))["broker"]["own"] is False


async def test_graceful_stop_within_a_delivery_keeps_what_was_acknowledged(home):
    board = ScriptedBoard("roof")
    home.enrol(board)
    for _ in range(40):
        board.minute()
    await home.start()
    delivery = asyncio.create_task(board.deliver())
    while board.acknowledged < 5:
        await asyncio.sleep(0.01)
    assert await home.stop(signal.SIGINT) == 0
    kept = len(home.cli("export", "frames").split())
    assert kept >= board.acknowledged
    delivery.cancel()
    await asyncio.wait([delivery])


async def test_board_is_enrolled_and_removed_while_the_gateway_runs(home):
    board = ScriptedBoard("roof")
    async with running(home), aiohttp.ClientSession(home.page, headers=home.headers) as session:
        body = {"public_key": board.public_key.hex(), "name": "roof"}
        async with session.post("/api/v1/boards", json=body) as response:
            assert response.status == 201
            board.settings = await response.json()
        board.begin(board.settings["gateway"])
        board.minute()
        await board.deliver()
        assert [one["log"]["head"] for one in await home.ask("boards")] == [2]
        async with session.delete(f"/api/v1/boards/{board.settings['kid']}") as response:
            assert response.status == 204
        with pytest.raises(aiomqtt.MqttError):
            await board.connect_again_and_again()
        assert await home.ask("boards") == []


async def test_second_gateway_on_one_home_is_refused(home):
    async with running(home):
        error = home.cli("run", code=2)
        assert f"Another gateway (process {home.process.pid}) runs on {home.folder}" in error


async def test_full_port_is_one_sentence(home):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", int(home.page.rpartition(":")[2])))
        taken.listen()
        error = home.cli("run", code=2)
    assert "cannot be opened for the page" in error
    assert error.count("\n") == 1
