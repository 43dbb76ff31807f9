"""The gateway, put together: nothing else wires rooms to one another."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from pathlib import Path

from . import answers, forward, quality
from .broker import Broker
from .chronicle import Chronicle
from .config import DATABASE_NAME, Config, NetworkConfig
from .endpoints import remote
from .enrolment import board_settings
from .errors import WattnessError
from .homeassistant.bridge import Bridge, Facts
from .housekeeping import BoardsWatch, CountsWatch, HolesWatch, every, logins
from .ingest.bleradio import Radio
from .ingest.lorawan import LorawanLink
from .ingest.modbus import Meters
from .ingest.mqtt import MqttLink
from .ingest.shelf import Shelf, open_shelf
from .ingest.ways import Ways
from .intake import Intake
from .keys import open_signer
from .lock import HomeLock
from .model import Board, Endpoint
from .networks import REWARD_UNITS, Network, exclusive, kind_of, open_network, settled
from .networks import Sources as NetworkSources
from .post import Post, Resender
from .proxy.server import Proxies, Proxy, Target
from .signing import Signer, key_hash
from .store.settings import Wants
from .store.sqlite import Settings, SqliteStore, open_store
from .systemd import notify, prove_life
from .updates import FOLDER as UPDATES_FOLDER
from .updates import Updates
from .verifiers import open_verifiers
from .web.answers import BrokerNow
from .web.server import serve
from .web.sources import ProxyNow, Sources

TICK_S = 1.0
HOLES_S = 5.0
OFFERS_S = 2.0
TIDY_S = 60.0
LINK_READY_S = 5.0
GATHER_S = 0.01

Tasks = Callable[..., None]  # starts work that runs for ever, under a name


async def run(config: Config, say: Callable[[str], None]) -> None:
    """Run the gateway until SIGTERM or SIGINT; `say` gets one line when it is ready. Raises WattnessError."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with HomeLock(Path(config.home)):
        try:
            async with gateway(config) as ready:
                say(ready)
                await stop.wait()
                notify("STOPPING=1")
        except BaseExceptionGroup as group:
            ours, others = group.split(WattnessError)
            if others is not None or ours is None:
                raise
            raise _first(ours) from None


@asynccontextmanager
async def gateway(config: Config) -> AsyncIterator[str]:
    """Start every part and keep it running; gives the line that says so."""
    clock = config.make_clock()
    signer = open_signer(config.key, Path(config.home))
    gateway_hash = key_hash(signer.public_key)
    wanted = _wanted(config)
    judge = await asyncio.to_thread(quality.judge_of, config.site, config.path("sun"))
    settings = Settings(gateway=gateway_hash, networks=wanted, interval=config.interval, clock=clock, judge=judge)
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(open_store(config.path(DATABASE_NAME), settings))
        shelf = await open_shelf(config, store, gateway_hash, clock, version("wattness"))
        meters, proxies = _devices(config, shelf)
        networks = await _open_networks(stack, config, signer, answers.of_store(store, clock, config))
        boards = await store.boards()
        endpoint, broker = await _open_broker(stack, config, boards)
        link = MqttLink(endpoint)
        ways = Ways(link.publish)
        post = Post(ways.publish, clock, boards)
        verifiers = await stack.enter_async_context(open_verifiers(boards))
        intake = Intake(store, verifiers, shelf.acknowledging(post.acknowledge))
        sources = Sources(
            store=store,
            clock=clock,
            config=config,
            version=version("wattness"),
            gateway=gateway_hash.hex(),
            started_unix_ms=clock.now_ms(),
            broker=lambda: _broker_now(link, broker),
            states=link.states,
            board_settings=lambda board, host: board_settings(config, signer.public_key, board, host),
            proxies=lambda: [_proxy_now(proxy) for proxy in proxies.all],
            meters=meters.states,
        )
        address, events = await stack.enter_async_context(serve(sources))
        tasks = await stack.enter_async_context(_tasks())
        _listen(tasks, config, store, link, ways, intake)
        tasks(shelf.run(intake.offer), "own-logs")
        await _read_devices(stack, tasks, meters, proxies)
        for network, adapter in networks:
            world = forward.World(clock, random.Random())  # noqa: S311 - jitter
            tasks(forward.forward(adapter, store, network, world), f"forward-{network.name}")
        tasks(events.run(), "events")
        if config.homeassistant.enabled:
            tasks(_bridge(config, endpoint, sources).run(), "homeassistant")
        tasks(prove_life(store.data_version), "watchdog")
        tasks(every(TICK_S, store.tick), "intervals")
        tasks(every(TICK_S, BoardsWatch(store, verifiers, post, broker).refresh), "boards")
        tasks(every(HOLES_S, HolesWatch(store, Resender(post, store.next_counter)).look), "holes")
        _keep_history(tasks, store, config)
        _update_boards(tasks, config, store, post, link)
        if broker is not None:
            tasks(broker.supervise(), "broker")
            await link.wait_connected(LINK_READY_S)
        yield f"ready page={address} boards={endpoint.host}:{endpoint.port} gateway={gateway_hash.hex()}"


def _wanted(config: Config) -> tuple[Wants, ...]:
    """Return what the networks want of the store; raises ConfigError, also when two would claim the same energy."""
    exclusive.check(config.network)
    return tuple(forward.wants(settled(network), config.interval.length_s) for network in config.network)


async def _open_networks(
    stack: AsyncExitStack, config: Config, signer: Signer, asked: NetworkSources
) -> list[tuple[NetworkConfig, Network]]:
    """Open every network's adapter with the key that it knows this gateway by."""
    opened = []
    for network in map(settled, config.network):
        curve = kind_of(network).curve
        own = open_signer(network.key, Path(config.home), curve) if curve else signer
        opened.append((network, await stack.enter_async_context(open_network(network, own, asked))))
    return opened


def _update_boards(tasks: Tasks, config: Config, store: SqliteStore, post: Post, link: MqttLink) -> None:
    """Offer releases to boards, and answer what they want of them."""

    async def command(board_id: int, name: str, arguments: object) -> None:
        await post.command(board_id, await store.next_counter(board_id), name, arguments)

    updates = Updates(config.path(UPDATES_FOLDER), store.boards, command, link.states)
    link.on_want = updates.heard
    tasks(every(0, updates.serve), "updates")
    tasks(every(OFFERS_S, updates.offer), "offers")


@asynccontextmanager
async def _tasks() -> AsyncIterator[Tasks]:
    """A task group whose tasks run for ever: leaving it cancels them, and one that fails ends it."""
    async with asyncio.TaskGroup() as group:
        running: list[asyncio.Task[None]] = []
        yield lambda work, name: running.append(group.create_task(work, name=name))
        for task in running:
            task.cancel()


def _devices(config: Config, shelf: Shelf) -> tuple[Meters, Proxies]:
    meters = Meters(config.device, shelf, Radio(Path(config.home), shelf.uptime))
    targets = {device.name: Target(line, device.unit) for device, line in meters.shared()}
    return meters, Proxies(config.proxy, targets)


async def _read_devices(stack: AsyncExitStack, tasks: Tasks, meters: Meters, proxies: Proxies) -> None:
    """Meter the devices, and let their clients share them."""
    tasks(meters.run(), "meters")
    await stack.enter_async_context(proxies.listen())
    tasks(proxies.run(), "proxies")


def _keep_history(tasks: Callable[..., None], store: SqliteStore, config: Config) -> None:
    chronicle = Chronicle(store, config)
    tasks(store.examine(), "examine")
    tasks(chronicle.run(), "history")
    tasks(every(TIDY_S, chronicle.tidy), "tidy")


async def _open_broker(stack: AsyncExitStack, config: Config, boards: list[Board]) -> tuple[Endpoint, Broker | None]:
    if config.mqtt.url:
        return remote(config, config.mqtt, "$.mqtt"), None
    home = config.homeassistant
    prefix = home.prefix if home.enabled and not home.url else ""
    broker = Broker(config.path("broker"), config.mqtt.listen, logins(boards), prefix)
    await stack.enter_async_context(broker)
    return broker.endpoint, broker


def _listen(  # noqa: PLR0913, PLR0917 - what listening needs
    tasks: Tasks, config: Config, store: SqliteStore, link: MqttLink, ways: Ways, intake: Intake
) -> None:
    """Take frames from everywhere that boards may speak."""
    tasks(intake.run(), "intake")
    tasks(_feed(link, intake), "feed")
    tasks(link.run(), "link")
    tasks(every(TICK_S, CountsWatch(store, "dropped", link.counts).save), "drops")
    if config.lorawan.url:
        chirpstack = remote(config, config.lorawan, "$.lorawan")
        lorawan = ways.slow = LorawanLink(chirpstack, config.lorawan, intake.offer)
        tasks(lorawan.run(), "lorawan")
        tasks(every(TICK_S, CountsWatch(store, "lorawan", lorawan.counts).save), "lorawan-counts")


def _bridge(config: Config, boards: Endpoint, known: Sources) -> Bridge:
    """Return what tells Home Assistant: on the home's own broker, else on the boards'."""
    home = config.homeassistant
    endpoint = remote(config, home, "$.homeassistant") if home.url else boards
    facts = Facts(known.store, known.clock, known.version, known.gateway, config.network, REWARD_UNITS)
    return Bridge(endpoint, home.prefix, facts)


async def _feed(link: MqttLink, intake: Intake) -> None:
    """Hand frames over in handfuls: each costs the intake a batch, and frames come one by one."""
    async for arrival in link:
        intake.offer(arrival)
        if not len(link):
            await asyncio.sleep(GATHER_S)


def _broker_now(link: MqttLink, broker: Broker | None) -> BrokerNow:
    return BrokerNow(
        own=broker is not None,
        address=f"{link.endpoint.host}:{link.endpoint.port}",
        connected=link.connected,
        error=link.error,
        connects=link.connects,
        restarts=broker.restarts if broker else 0,
    )


def _proxy_now(proxy: Proxy) -> ProxyNow:
    return ProxyNow(proxy.settings.device, proxy.settings.listen, proxy.clients, proxy.counts)


def _first(group: BaseExceptionGroup[WattnessError]) -> WattnessError:
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
