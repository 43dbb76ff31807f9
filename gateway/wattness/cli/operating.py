"""`init`, `run`, `status` and `token`: the gateway itself."""

from typing import Annotated, Any

import typer

from wattness.errors import ConfigError

Json = Annotated[bool, typer.Option("--json", help="Print it as JSON.")]
token_app = typer.Typer(help="The token that opens the page and the API.", no_args_is_help=True)

CONFIG_TEXT = """\
# The gateway's configuration. Everything is optional; what is commented out shows the default.

# key = "file:gateway.key"            # made by `wattness key new`; or credential:NAME, or pkcs11:…

[mqtt]
# The gateway runs a broker of its own for the boards. To let boards on your network reach it, listen on its address:
# listen = "127.0.0.1:1883"
# Or use another broker; a login that may read wattness/1/+/frame, …/state and …/want and write …/ack and …/cmd:
# url = "mqtts://wattness@broker.example"
# password_file = "mqtt.password"     # mode 0600
# ca_file = "ca.pem"                  # for a certificate of your own

[web]
# listen = "127.0.0.1:8080"           # to be reached by others, it wants TLS as well:
# tls_cert = ""                       # a PEM file: the certificate with its chain
# tls_key = ""                        # a PEM file of mode 0600
# public = false                      # listen to others without TLS all the same

[interval]
# length_s = 300
# final_after_h = 24                  # so long a gap is waited for
# future_s = 120                      # rows dated further ahead are quarantined

[history]
# raw_days = 30                       # older frames become compressed rows; values and aggregates stay for ever
# proof_days = 400                    # … but not while a network may still ask for them as evidence

# [site]                              # where the panels stand: then the sun is among the rules of quality
# latitude = 52.52
# longitude = 13.405
# timezone = "Europe/Berlin"          # whose days the page and the history show

# [[site.pv]]                         # how they stand; without it they may point anywhere
# tilt_deg = 35
# azimuth_deg = 180                   # 180 is south
# peak_w = 6000

[homeassistant]
# enabled = false                     # tell Home Assistant, by MQTT discovery; `wattness homeassistant` shows the login
# url = "mqtt://user@broker.example"  # the home's own broker, instead of ours; password_file and ca_file as above
# prefix = "homeassistant"

[lorawan]
# url = "mqtt://user@chirpstack.example"  # ChirpStack's broker, for boards behind LoRaWAN; password_file, ca_file
# application = ""                    # its id; empty: all of them
# port = 87                           # the boards' FPort
# ack_every_s = 21600                 # at most one downlink to a board in that time

# [[device]]                          # one for each that the gateway reads itself; `wattness discover` finds them
# name = "inverter"
# url = "tcp://192.168.1.50:502"      # or rtu+tcp://host:port, serial:///dev/ttyUSB0?baud=9600&parity=N&stopbits=1
# role = "pv"                         # pv, battery, grid, load, vehicle or charger
# profile = "sunspec"                 # see `wattness profile list`
# unit = 1
# period_ms = 5000
# rated_w = 7000
# key = "file:device.key"             # made by `wattness device key new`

# [[device]]                          # a battery in Bluetooth's reach; `wattness discover --ble` lists them
# name = "pack"
# url = "ble:C0:FF:EE:00:00:01"
# role = "battery"                    # or pv, for a Victron solar charger; vehicle, for an ELM327 dongle
# profile = "jbd"                     # jbd, daly, jk, victron, victron_vebus; a vehicle's, as hyundai_kia_egmp
# key_file = ""                       # for Victron: a file of mode 0600 with the encryption key that its app shows

# [[proxy]]                           # lets many clients share such a device
# device = "inverter"
# listen = "127.0.0.1:1502"
# max_age_ms = 2000                   # so old may an answer be
# clients = ["192.168.1.0/24"]        # who may read; all when empty
# allow = [{client = "192.168.1.5", first = 40100, last = 40101}]  # who may write what; nobody when empty

# [[network]]                         # one for each reward network; `wattness network list`, `wattness network add`
# name = "wattnet"
# kind = "wattnet"
# url = "http://127.0.0.1:9000"
# production = false                  # its url is a network in earnest, not a test endpoint
# key = "file:wattnet.key"            # `wattness key new --network wattnet`, for kinds that know us by a key of its own
# devices = []                        # the streams' ids; empty: all that it takes

# [money]                             # what rewards are worth, and energy costs; `wattness rewards price`
# currency = "EUR"
# tariff = [{grid_per_kwh = 0.31, own_per_kwh = 0.08, since = 2026-01-01}]  # own: what it would have been sold for

# [[operates]]                        # a metered load that works for a compute network; `wattness rewards operators`
# device = "0"                        # the load's stream
# operator = "akash"
# account = ""
"""


def init(context: typer.Context) -> None:
    """Make the gateway's home, its configuration and the page's token; never overwrites one."""
    from pathlib import Path

    from wattness.config import CONFIG_NAME
    from wattness.web.credentials import TOKEN_NAME, new_token

    file = Path(context.obj) / CONFIG_NAME
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with file.open("x") as stream:
            stream.write(CONFIG_TEXT)
    except FileExistsError:
        raise ConfigError(f"{file} exists already; edit it, or choose another --home.") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be made: {error.strerror}.") from None
    token = file.with_name(TOKEN_NAME)
    if not token.exists():
        new_token(file.parent)
    typer.echo(f"The page's token is in {token}; `wattness token show` shows it.")
    typer.echo(f"{file} is made. Next: `wattness key new`, then `wattness run`.")


def run(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens, to standard error.")] = False,
) -> None:
    """Run the gateway until it is stopped."""
    import asyncio
    import gc
    import logging

    from wattness.app import run as run_gateway
    from wattness.config import load

    logging.basicConfig(
        level=logging.INFO if verbose else logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    config = load(context.obj)
    gc.freeze()  # what the start made stays for good; and frames are freed by their counts, so collections find little
    gc.set_threshold(20_000, 50, 100)
    asyncio.run(run_gateway(config, _say_ready))


def _say_ready(line: str) -> None:
    from wattness.systemd import notify

    print(line, flush=True)  # noqa: T201 - at once, even into a pipe
    notify("READY=1")


def status(
    context: typer.Context,
    as_json: Json = False,
    live: Annotated[bool, typer.Option("--live", help="Keep it on the screen until Ctrl-C.")] = False,
) -> None:
    """Show boards, networks and counters, whether the gateway runs or not."""
    from wattness.config import load

    from .statustable import collect, show, watch

    config = load(context.obj)
    if as_json:
        echo_json(collect(config))
    elif live:
        watch(config)
    else:
        show(collect(config))


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Look at everything that can be wrong, and say what to do about it; exit code 1 when something fails."""
    import asyncio

    from wattness.doctor import FAILURE, examine, worst

    from .doctortable import show

    found = asyncio.run(examine(context.obj))
    if as_json:
        echo_json([finding._asdict() for finding in found])
    else:
        show(found)
    if worst(found) == FAILURE:
        raise typer.Exit(1)


@token_app.command("new")
def token_new(context: typer.Context, as_json: Json = False) -> None:
    """Make another token and show it; whoever was logged in has to log in again."""
    from wattness.web.credentials import new_token

    if not context.obj.is_dir():
        raise ConfigError(f"There is no {context.obj}; run `wattness init` first.")
    _tell_token(new_token(context.obj), as_json=as_json)


@token_app.command("show")
def token_show(context: typer.Context, as_json: Json = False) -> None:
    """Show the token."""
    from wattness.web.credentials import read_token

    _tell_token(read_token(context.obj), as_json=as_json)


def _tell_token(token: str, *, as_json: bool) -> None:
    if as_json:
        echo_json({"token": token})
    else:
        typer.echo(token)


def echo_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    import json

    typer.echo(json.dumps(value, ensure_ascii=False))
