"""Claiming on a real chain: the gateway's command, a wattnet that settled, and the contract that pays."""

import asyncio
import json
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

import localchain
import nodepackages
from wattness.cli import app
from wattness.errors import WattnessError
from wattness.keys import new_key
from wattness.networks import claims
from wattnet import accounts, books, contracting, server, shares
from wattnet.envelope import key_hash
from wattnet.ledger import Ledger
from wattnet.report import read
from wattnet.settings import Settings
from wattnet.shares import Share
from wattnet.simulated import SimulatedBoard, SimulatedKey

pytestmark = [pytest.mark.xdist_group("npm"), pytest.mark.timeout(360)]

START = 1_790_000_000_000
WEI = 10**9
OTHERS = [Share(7, bytes(19) + bytes((number,)), number) for number in range(1, 6)]
ENOUGH_WEI = 10**18


@given(st.integers(0, 2**60), st.integers(0, 2**62), st.integers(0, 5))
def test_a_proof_is_of_this_account_and_these_points(epoch, points, index):
    mine = Share(epoch, bytes(range(20)), points)
    drawn = [share._replace(epoch=epoch) for share in OTHERS]
    drawn.insert(index, mine)
    told = settlement(mine, drawn)
    assert claims.proves(told, mine.account)
    assert not claims.proves(told, bytes(20))
    assert not claims.proves(told, OTHERS[0].account)
    more = claims.Settlement(epoch, points + 1, told.root, told.proof, [claims.Portion(points + 1)])
    assert not claims.proves(more, mine.account)
    unbacked = claims.Settlement(epoch, points, told.root, told.proof, [claims.Portion(points), claims.Portion(1)])
    assert not claims.proves(unbacked, mine.account)


def settlement(mine, drawn):
    path = [node.hex() for node in shares.proof(drawn, drawn.index(mine))]
    return claims.Settlement(mine.epoch, mine.points, shares.root(drawn).hex(), path, [claims.Portion(mine.points)])


class World:
    """A chain, a wattnet with its contract, and a gateway's home."""

    def __init__(self, chain, operator, ledger, url, home):
        self.chain, self.operator, self.ledger, self.home, self.url = chain, operator, ledger, home, url
        self.configure()
        self.gateway_key = new_key("file:gateway.key", home).public_key
        self.made = contracting.deploy(ledger, operator, WEI, 0)

    def configure(self, **settings):
        text = f'[[network]]\nname = "wattnet"\nkind = "wattnet"\nurl = "{self.url}"\n[network.settings]\n'
        chosen = {"chain_url": self.chain.url, "poll_s": 0.05, "receipt_s": 10} | settings
        lines = [f"{name} = {json.dumps(value)}\n" for name, value in chosen.items()]
        (self.home / "gateway.toml").write_text(text + "".join(lines))

    async def run(self, *arguments):
        """Run the command in a thread, as it has a loop of its own."""
        ended = await asyncio.to_thread(CliRunner().invoke, app, ["--home", str(self.home), "rewards", *arguments])
        return (2 if isinstance(ended.exception, WattnessError) else ended.exit_code), (
            str(ended.exception) if isinstance(ended.exception, WattnessError) else ended.output
        )

    async def owner(self):
        """Make the owner's account, with coin for gas, and let the network know of it."""
        _, text = await self.run("account", "--new")
        account = text.strip()
        self.operator.do(account, "0x", ENOUGH_WEI)
        assert await self.run("claim") == (0, f"wattnet pays {account} from now on.\nNothing to claim yet.\n")
        return account

    def settle(self, epoch, mwh):
        """Let this gateway and another claim in an epoch, settle it and post it."""
        other = SimulatedKey(9)
        self.ledger.add_gateway(other.public_key, START)
        accounts.name_account(self.ledger, self.ledger.gateway(other.hash[:8]), bytes(19) + b"\x09", START)
        for key in (self.gateway_key, other.public_key):
            self._claim(self.ledger.gateway(key_hash(key)[:8]), epoch, mwh)
        assert books.settle_due(self.ledger, epoch + 1, START) == [epoch]

    def post(self):
        contracting.post(self.ledger, self.operator)

    def _claim(self, gateway, epoch, mwh):
        board = SimulatedBoard(gateway.id, gateway.key_hash, START)
        a = START + epoch * 300_000
        energy = {"energy_export": mwh}
        figures = {"covered_ms": 300_000, "counter_resets": 0, "energy": energy, "gap_energy": {}, "rows": 30}
        about = {"rules": 1, "board": board.hash, "device": "0", "role": "pv", "profile": "eastron_sdm120", "a": a}
        more = {"b": a + 300_000, "figures": figures, "evidence": [[1, 1, 7]], "root": bytes(32)}
        value = about | more | {"verdict": "accepted", "reasons": [], "rated_w": 6000, "provenance": "board"}
        self.ledger.bind(gateway, board.public_key, "", START)
        self.ledger.add_claim(gateway, read(value)[0], repr(value).encode(), START, epoch)

    def held(self, account):
        return self.operator.number("eth_getBalance", account, "latest")


@pytest.fixture
async def world(tmp_path):
    settings = Settings(settle_every_s=3600)
    file = tmp_path / "wattnet.db"
    key = tmp_path / "operator.key"
    key.touch(mode=0o600)
    key.write_text(localchain.OPERATOR_SECRET)
    home = tmp_path / "home"
    home.mkdir()
    try:
        async with localchain.local_chain() as chain, server.serving(file, ("127.0.0.1", 0), settings) as url:
            with closing(Ledger(file)) as ledger:
                yield World(chain, contracting.Operator.of(chain.url, key), ledger, url, home)
    except nodepackages.MissingError as error:
        pytest.skip(f"NOT TESTED on a chain: {error}")


async def test_what_was_settled_is_claimed_once(world):
    account = await world.owner()
    world.settle(3, 30_000)
    assert await world.run("claim") == (1, "epoch 3: 3000 points not posted\n")
    world.post()
    before_wei = world.held(account)
    code, text = await world.run("claim")
    assert code == 0
    assert text.startswith("epoch 3: 3000 points claimed by 0x")
    digest = text.split()[-1]
    receipt = world.operator.ask("eth_getTransactionReceipt", digest)
    assert receipt["from"] == account.lower()
    gas_wei = int(receipt["gasUsed"], 16) * int(receipt["effectiveGasPrice"], 16)
    assert world.held(account) == before_wei + 3000 * WEI - gas_wei
    assert await world.run("claim") == (0, "epoch 3: 3000 points already claimed\n")
    world.settle(4, 10_000)
    world.settle(5, 20_000)
    world.post()
    code, text = await world.run("claim", "--epoch", "5")
    assert (code, text.startswith("epoch 5: 2000 points claimed by 0x"), text.count("\n")) == (0, True, 1)
    code, text = await world.run("claim")
    assert [line.split(" by ")[0] for line in text.splitlines()] == [
        "epoch 3: 3000 points already claimed",
        "epoch 4: 1000 points claimed",
        "epoch 5: 2000 points already claimed",
    ]
    assert world.operator.read(world.made.address, "owedPoints()", ["uint256"]) == (6000,)  # the other gateway's


async def test_an_epoch_of_which_nothing_is_owed_is_said(world):
    await world.owner()
    code, text = await world.run("claim", "--epoch", "8")
    assert (code, "owes nothing for epoch 8" in text) == (2, True)


async def test_a_forged_share_is_not_claimed(world):
    await world.owner()
    world.settle(3, 30_000)
    world.post()
    world.ledger.db.execute("UPDATE share SET points = points + 1")
    assert await world.run("claim") == (1, "epoch 3: 3001 points not proven\n")
    world.ledger.db.execute("UPDATE share SET points = points - 1")
    world.ledger.db.execute("UPDATE settlement SET root = ?", (bytes(32),))
    assert await world.run("claim") == (1, "epoch 3: 3000 points not proven\n")


async def test_a_claim_that_the_contract_refuses_costs_no_gas_and_no_other_claim(world):
    account = await world.owner()
    world.settle(3, 30_000)
    world.ledger.db.execute("UPDATE settlement SET points = 2999")  # funded with too little
    world.post()
    world.settle(4, 10_000)
    world.post()
    code, text = await world.run("claim")
    first, second = text.splitlines()
    assert code == 1
    assert first.endswith("refused: reverted: the epoch promised more than it was funded with")
    assert second.startswith("epoch 4: 1000 points claimed by 0x")
    assert world.operator.number("eth_getTransactionCount", account, "latest") == 1


async def test_the_account_is_among_the_keys_once_it_is_made(world):
    code, text = await world.run("account")
    assert (code, "rewards account --new" in text) == (2, True)
    account = await world.owner()
    listed = await asyncio.to_thread(CliRunner().invoke, app, ["--home", str(world.home), "key", "list"])
    line = next(line for line in listed.output.splitlines() if line.startswith("account wattnet"))
    assert account in line
    assert (await world.run("account"))[1].strip() == account


async def test_an_account_without_gas_is_told_so(world):
    await world.owner()
    world.settle(3, 30_000)
    world.post()
    world.configure(account_key="file:poor.key")
    new_key("file:poor.key", world.home, "secp256k1")
    await world.run("claim")
    world.settle(4, 10_000)
    world.post()
    code, text = await world.run("claim")
    assert (code, "send this account coin for gas" in text) == (2, True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"contract": "0x" + "11" * 20}, "names another one"),
        ({"chain_id": 5}, "names another one"),
        ({"chain_url": ""}, "chain_url: is missing"),
        ({"gas_max": 1}, r"settings.gas_max"),
        ({"account_key": "file:none.key"}, "none.key"),
    ],
)
async def test_what_the_owner_must_put_right_is_named(world, settings, words):
    await world.owner()
    world.settle(3, 30_000)
    world.post()
    world.configure(**settings)
    code, text = await world.run("claim")
    assert (code, words in text) == (2, True), text


async def test_a_node_of_another_chain_is_not_used(world):
    await world.owner()
    world.settle(3, 30_000)
    world.post()
    async with localchain.local_chain(77) as other:
        world.configure(chain_url=other.url)
        code, text = await world.run("claim")
    assert (code, "is a node of chain 77" in text) == (2, True)


async def test_a_claim_under_way_is_not_sent_a_second_time(world):
    """A lost answer: the transaction waits in the pool, and the next command waits for it instead of making another."""
    account = await world.owner()
    world.settle(3, 30_000)
    world.post()
    world.operator.ask("evm_setAutomine", False)
    world.configure(receipt_s=0.3)
    code, text = await world.run("claim")
    assert (code, "is in no settled block yet" in text) == (2, True)
    code, text = await world.run("claim")
    assert (code, "is under way" in text) == (2, True)
    world.operator.ask("evm_mine")
    assert await world.run("claim") == (0, "epoch 3: 3000 points already claimed\n")
    assert world.operator.number("eth_getTransactionCount", account, "latest") == 1
