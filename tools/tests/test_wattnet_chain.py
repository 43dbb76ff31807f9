"""The contract on a real chain: what is funded, claimed and refused, and that its bytes are its source's."""

import asyncio
import json
import os
import subprocess
from contextlib import closing

import pytest
from eth_account import Account
from eth_utils import keccak

import localchain
import nodepackages
from wattnet import accounts, contracting, shares
from wattnet.__main__ import main
from wattnet.ledger import Ledger
from wattnet.shares import Share

pytestmark = [pytest.mark.xdist_group("npm"), pytest.mark.timeout(360)]

OWNERS = [Account.from_key(bytes(31) + bytes((number,))) for number in range(11, 16)]
WEI = 10**9
SHARES = [Share(7, bytes.fromhex(owner.address[2:]), 1_000 * (at + 1)) for at, owner in enumerate(OWNERS)]
TOTAL = sum(share.points for share in SHARES)


def skip(error):
    pytest.skip(f"NOT TESTED on a chain: {error}")


@pytest.fixture
async def chain():
    try:
        async with localchain.local_chain() as running:
            yield running
    except nodepackages.MissingError as error:
        skip(error)


@pytest.fixture
def operator(chain, tmp_path):
    key = tmp_path / "operator.key"
    key.touch(mode=0o600)
    key.write_text(localchain.OPERATOR_SECRET)
    return contracting.Operator.of(chain.url, key)


@pytest.fixture
def ledger(tmp_path):
    with closing(Ledger(tmp_path / "wattnet.db")) as opened:
        yield opened


def owe(ledger, epoch=7, drawn=SHARES):
    """Settle an epoch with these shares."""
    ledger.db.execute("INSERT INTO epoch VALUES (?, ?, 0, 0, 0)", (epoch, bytes(32)))
    row = (epoch, shares.root(drawn), sum(share.points for share in drawn))
    ledger.db.execute("INSERT INTO settlement VALUES (?, ?, ?, '')", row)


@pytest.fixture
def deployed(ledger, operator):
    """Return the contract, with epoch 7 posted and funded."""
    owe(ledger)
    made = contracting.deploy(ledger, operator, WEI, 0)
    assert [epoch for epoch, _ in contracting.post(ledger, operator)] == [7]
    return made


def sent(operator, made, signature, *values, by=None, value_wei=0):
    """Send a call; raises ChainError with the contract's error."""
    speaker = operator._replace(account=by) if by else operator
    return speaker.do(made.address, contracting._call(signature, *values), value_wei)


def claim(operator, made, share, path):
    """Let the operator send somebody's claim: the money goes to the account, whoever sends it."""
    values = (share.epoch, "0x" + share.account.hex(), share.points, path)
    return sent(operator, made, "claim(uint256,address,uint256,bytes32[])", *values)


def held(operator, address):
    return operator.number("eth_getBalance", address, "latest")


def error(name):
    """Return the four bytes of one of the contract's errors, as the node shows them."""
    abi = json.loads(contracting.ARTEFACT.read_text())["abi"]
    inputs = next(one["inputs"] for one in abi if one["type"] == "error" and one["name"] == name)
    return keccak(text=f"{name}({','.join(one['type'] for one in inputs)})")[:4].hex()


def test_everybody_claims_once(operator, deployed):
    assert held(operator, deployed.address) == TOTAL * WEI
    for at, share in enumerate(SHARES):
        claim(operator, deployed, share, shares.proof(SHARES, at))
        assert held(operator, "0x" + share.account.hex()) == share.points * WEI
    assert held(operator, deployed.address) == 0
    assert operator.read(deployed.address, "owedPoints()", ["uint256"]) == (0,)
    with pytest.raises(contracting.ChainError, match=error("AlreadyClaimed")):
        claim(operator, deployed, SHARES[0], shares.proof(SHARES, 0))
    assert held(operator, "0x" + SHARES[0].account.hex()) == SHARES[0].points * WEI


@pytest.mark.parametrize("forged", ["points", "account", "path", "longer", "epoch"])
def test_what_is_not_proven_is_refused(operator, deployed, forged):
    share, path = SHARES[1], shares.proof(SHARES, 1)
    cases = {
        "points": (share._replace(points=share.points + 1), path),
        "account": (share._replace(account=bytes(19) + b"\x01"), path),
        "path": (share, path[::-1]),
        "longer": (share, [*path, bytes(32)]),
        "epoch": (share._replace(epoch=8), path),
    }
    with pytest.raises(contracting.ChainError, match=error("UnknownEpoch" if forged == "epoch" else "BadProof")):
        claim(operator, deployed, *cases[forged])


def test_only_the_operator_posts_and_each_epoch_once(operator, deployed):
    poor = OWNERS[0]
    sent(operator, deployed, "post(uint256,bytes32,uint256)", 8, b"\x01" * 32, 1, value_wei=WEI)
    with pytest.raises(contracting.ChainError, match=error("EpochTaken")):
        sent(operator, deployed, "post(uint256,bytes32,uint256)", 8, b"\x02" * 32, 1, value_wei=WEI)
    with pytest.raises(contracting.ChainError, match=error("NotFunded")):
        sent(operator, deployed, "post(uint256,bytes32,uint256)", 9, b"\x02" * 32, 1)
    with pytest.raises(contracting.ChainError, match=error("EmptyRoot")):
        sent(operator, deployed, "post(uint256,bytes32,uint256)", 9, bytes(32), 0)
    with pytest.raises(contracting.ChainError, match=error("NotOperator")):
        sent(operator, deployed, "post(uint256,bytes32,uint256)", 9, b"\x02" * 32, 0, by=poor)
    with pytest.raises(contracting.ChainError, match=error("NotOperator")):
        sent(operator, deployed, "withdraw(address)", poor.address, by=poor)


def test_a_root_that_promises_too_much_pays_no_more_than_was_funded(operator, deployed):
    greedy = [Share(8, SHARES[0].account, 5), Share(8, SHARES[1].account, 6)]
    sent(operator, deployed, "post(uint256,bytes32,uint256)", 8, shares.root(greedy), 10, value_wei=10 * WEI)
    claim(operator, deployed, greedy[0], shares.proof(greedy, 0))
    with pytest.raises(contracting.ChainError, match=error("OverClaimed")):
        claim(operator, deployed, greedy[1], shares.proof(greedy, 1))


def test_the_operator_takes_back_only_what_nobody_is_owed(operator, deployed):
    operator.do(deployed.address, "0x", 5)  # somebody gave too much
    sent(operator, deployed, "withdraw(address)", OWNERS[0].address)
    assert held(operator, OWNERS[0].address) == 5
    assert held(operator, deployed.address) == TOTAL * WEI


def test_posting_again_and_dying_in_between_cost_nothing(ledger, operator, deployed):
    assert contracting.post(ledger, operator) == []
    assert contracting.deploy(ledger, operator, 1, 0) == deployed
    accounts.note_posted(ledger, 7, "")  # killed before it was noted
    assert contracting.post(ledger, operator) == [(7, "earlier")]
    assert held(operator, deployed.address) == TOTAL * WEI
    ledger.db.execute("UPDATE settlement SET root = ?, posted = ''", (b"\x05" * 32,))
    with pytest.raises(contracting.ChainError, match="another root"):
        contracting.post(ledger, operator)


def test_a_contract_whose_maker_was_killed_is_found_again(ledger, operator):
    operator.ask("evm_setAutomine", False)
    killed = operator._replace(account=Killed(operator.account))
    with pytest.raises(KeyboardInterrupt):
        contracting.deploy(ledger, killed, WEI, 5)
    assert accounts.contract(ledger) is None
    operator.ask("eth_sendRawTransaction", "0x" + killed.account.signed.raw_transaction.hex())
    with pytest.raises(contracting.ChainError, match="under way"):
        contracting.deploy(ledger, operator, WEI, 5)
    operator.ask("evm_mine")
    made = contracting.deploy(ledger, operator, WEI, 5)
    assert held(operator, made.address) == 5
    assert operator.number("eth_getTransactionCount", operator.account.address, "latest") == 1
    assert contracting.deploy(ledger, operator, WEI, 5) == made


def test_a_contract_whose_maker_was_killed_before_the_chain_had_it_is_made(ledger, operator):
    with pytest.raises(KeyboardInterrupt):
        contracting.deploy(ledger, operator._replace(account=Killed(operator.account)), WEI, 0)
    assert contracting.deploy(ledger, operator, WEI, 0).wei_per_point == WEI


class Killed:
    """An account whose process ends when it has signed."""

    def __init__(self, account):
        self.account, self.address, self.signed = account, account.address, None

    def sign_transaction(self, transaction):
        self.signed = self.account.sign_transaction(transaction)
        raise KeyboardInterrupt


def test_what_was_put_in_before_is_not_put_in_again(ledger, operator):
    owe(ledger)
    made = contracting.deploy(ledger, operator, WEI, 2 * TOTAL * WEI)
    contracting.post(ledger, operator)
    assert held(operator, made.address) == 2 * TOTAL * WEI


async def test_the_operators_commands(chain, operator, ledger, tmp_path, capsys):
    owe(ledger)
    about = ["--db", str(tmp_path / "wattnet.db"), "--rpc", chain.url, "--operator-key", str(tmp_path / "operator.key")]
    assert await asyncio.to_thread(main, ["post", *about]) == 1
    assert await asyncio.to_thread(main, ["deploy", *about, "--wei-per-point", "1000"]) == 0
    assert await asyncio.to_thread(main, ["post", *about]) == 0
    out, err = capsys.readouterr()
    assert "epoch 7 posted by 0x" in out
    assert "deploy" in err


def test_a_key_that_others_may_read_is_not_used(tmp_path):
    key = tmp_path / "open.key"
    key.touch()
    key.chmod(0o644)  # whatever the umask
    with pytest.raises(contracting.ChainError, match="chmod 600"):
        contracting.Operator.of("http://127.0.0.1:1", key)


def test_the_artefact_is_what_the_source_compiles_to():
    try:
        packages = nodepackages.installed(localchain.PACKAGES)
    except nodepackages.MissingError as missing:
        skip(missing)
    command = ["node", str(localchain.PACKAGES / "compile.mjs")]
    environment = os.environ | {"NODE_PATH": str(packages / "node_modules")}
    ended = subprocess.run(command, env=environment, capture_output=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr.decode()
    assert ended.stdout == contracting.ARTEFACT.read_bytes()


def test_the_artefact_names_what_is_called_here():
    abi = json.loads(contracting.ARTEFACT.read_text())["abi"]
    named = {f"{one['name']}({','.join(i['type'] for i in one['inputs'])})" for one in abi if one["type"] == "function"}
    assert {"post(uint256,bytes32,uint256)", "epochs(uint256)", "owedPoints()", "claimed(uint256,address)"} <= named
    assert "claim(uint256,address,uint256,bytes32[])" in named
