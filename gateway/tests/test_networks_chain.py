"""An account's transactions on a chain whose nodes disagree, forget and drop answers: each is taken exactly once."""

import random

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from wattness.errors import OutdatedError, RefusedError, UnavailableError
from wattness.keys.held import HeldSecp256k1
from wattness.networks import evm
from wattness.networks.chain import Carrier, Chain, RpcError, Waiting
from wattness.networks.chainpast import Past
from wattness.networks.ethereum import address

SIGNER = HeldSecp256k1(ec.derive_private_key(4662, ec.SECP256K1()))
ADDRESS = address(SIGNER.public_key)
REGISTRY = bytes(range(20))
FEES = evm.Fees(100_000, 10**9, 10**9)
LAG_MAX = 4  # blocks that a node may be behind; fewer than are waited for
FORGET = 6


class World(Chain):
    """A chain of several nodes behind one address; its time passes with the questions."""

    def __init__(self, seed):
        super().__init__(None)
        self.source = random.Random(seed)
        self.blocks = [[]]  # lists of transactions
        self.pool = {}  # by hash

    async def ask(self, method, *params):
        if self.source.random() < 0.3:
            self._mine()
        if self.source.random() < 0.1:
            raise UnavailableError("no answer")
        answer = self.answer(method, *params)
        if self.source.random() < 0.1:
            raise UnavailableError("the answer was lost")
        return answer

    def answer(self, method, *params):
        methods = {
            "eth_blockNumber": self.answer_height,
            "eth_getTransactionCount": self.answer_count,
            "eth_getTransactionReceipt": self.answer_receipt,
            "eth_getTransactionByHash": self.answer_known,
            "eth_getBlockByNumber": self.answer_block,
            "eth_sendRawTransaction": self.answer_take,
        }
        return methods[method](*params)

    def _mine(self):
        block = []
        for digest, transaction in sorted(self.pool.items(), key=lambda item: item[1].nonce):
            if transaction.nonce == self._count(len(self.blocks)) + len(block) and self.source.random() < 0.7:
                block.append(self.pool.pop(digest))
        self.blocks.append(block)

    def _count(self, end):
        return sum(len(block) for block in self.blocks[:end])

    def _seen(self):
        """How many blocks the node that answers this question has."""
        return max(1, len(self.blocks) - self.source.choice((0, 0, 0, self.source.randrange(LAG_MAX))))

    def answer_height(self):
        return hex(self._seen() - 1)

    def answer_count(self, _, block):
        return hex(self._count(self._seen() if block == "latest" else int(block, 16) + 1))

    def answer_receipt(self, digest):
        for number, block in enumerate(self.blocks[: self._seen()]):
            if any(transaction.hash == digest for transaction in block):
                return {"status": "0x1", "blockNumber": hex(number)}
        return None

    def answer_known(self, digest):
        if digest in self.pool and self.source.random() < 0.8:  # a pool is each node's own
            return {"hash": digest}
        return self.answer_receipt(digest)

    def answer_block(self, number, _):
        at = int(number, 16)
        shown = [
            {"hash": one.hash, "nonce": hex(one.nonce), "from": ADDRESS, "input": "0x" + one.call.data.hex()}
            for one in self.blocks[at]
        ]
        return {"number": number, "timestamp": hex(10_000 + at), "transactions": shown}

    def answer_take(self, text):
        transaction = evm.parse_transaction(bytes.fromhex(text[2:]))
        if transaction.hash in self.pool:
            raise RpcError(-32000, "already known", b"")
        if transaction.nonce < self._count(self._seen()):
            raise RpcError(-32000, "nonce too low", b"")
        if any(one.nonce == transaction.nonce for one in self.pool.values()):
            raise RpcError(-32000, "replacement transaction underpriced", b"")
        if not self.answer_receipt(transaction.hash):
            self.pool[transaction.hash] = transaction
        return transaction.hash

    def taken(self):
        return [transaction.call.data for block in self.blocks for transaction in block]


async def made(nonce, data):
    raw = await evm.signed(evm.unsigned(1, nonce, FEES, evm.Call(REGISTRY, data)), SIGNER)
    return evm.parse_transaction(raw)


async def deliver(world, data, nonce, stranger=None):
    """Do as the engine does with one report; now and then the process dies and another goes on with what is on disk."""
    transaction = await made(nonce, data)
    carrier = Carrier(world, ADDRESS, Waiting(0.004, 0.001, 1, FORGET))
    for _ in range(3000):
        if world.source.random() < 0.05:
            carrier = Carrier(world, ADDRESS, Waiting(0.004, 0.001, 1, FORGET))
        if stranger and world.source.random() < 0.2:  # another program uses the same account
            world.pool.setdefault(stranger.hash, stranger)
            stranger = None
        try:
            await carrier.deliver(transaction)
        except OutdatedError as error:
            transaction = await made(int(error.memory["nonce"]), data)
        except UnavailableError:
            continue
        else:
            return transaction.nonce + 1
    raise AssertionError("never delivered")


@pytest.mark.parametrize("seed", range(20))
async def test_every_event_is_taken_exactly_once(seed):
    world, nonce = World(seed), 0
    for number in range(6):
        given_up = world.source.random() < 0.2  # a report that was dropped before it was sent leaves a hole
        nonce = await deliver(world, b"event %d" % number, nonce + given_up)
    assert world.taken() == [b"event %d" % number for number in range(6)]
    assert all(one.nonce < 6 for one in world.pool.values())  # what a late node still holds can never be taken


@pytest.mark.parametrize("seed", range(10))
async def test_another_program_on_the_account_costs_nothing(seed):
    world = World(seed)
    stranger = await made(0, b"another's")
    await deliver(world, b"ours", 0, stranger)
    assert world.taken().count(b"ours") == 1


@pytest.mark.parametrize("seed", range(10))
async def test_a_forgotten_nonce_is_learnt(seed):
    world, nonce = World(seed), 0
    for number in range(3):
        nonce = await deliver(world, b"%d" % number, nonce)
    await deliver(world, b"after the backup", 0)
    assert world.taken() == [b"0", b"1", b"2", b"after the backup"]


@pytest.mark.parametrize("seed", range(10))
async def test_the_past_is_found_by_nonces_alone(seed):
    world, nonce = World(seed), 0
    words = [bytes((number + 1,)) * 32 for number in range(5)]
    for word in words[:-1]:
        nonce = await deliver(world, b"call" + word, nonce)
    found = []
    for word in words:
        past = Past(world, ADDRESS)
        while len(found) < len(words):
            try:
                found.append(await past.find(word, 0))
            except UnavailableError:
                continue
            break
    digests = [transaction.hash for block in world.blocks for transaction in block]
    assert [one and one[0] for one in found] == [*digests, None]


@pytest.mark.parametrize(
    ("text", "code", "error", "words"),
    [
        ("insufficient funds for gas * price + value", -32000, UnavailableError, "send this account coin"),
        ("max fee per gas less than block base fee", -32000, UnavailableError, "gas price to fall"),
        ("txpool is full", -32000, UnavailableError, "txpool"),
        ("intrinsic gas too low", -32000, RefusedError, "not_a_transaction"),
        ("invalid sender", -32000, RefusedError, "not_a_transaction"),
        ("whatever", -32602, RefusedError, "not_a_transaction"),
        ("Nonce Too Low", -32000, UnavailableError, "moving on"),
    ],
)
async def test_what_a_node_says_decides_what_is_done(text, code, error, words):
    class No(World):
        async def ask(self, method, *params):
            if method == "eth_sendRawTransaction":
                raise RpcError(code, text, b"")
            return self.answer(method, *params)

    with pytest.raises(error, match=words):
        await Carrier(No(1), ADDRESS, Waiting(0.01, 0.001)).deliver(await made(0, b""))


@pytest.mark.parametrize("answer", [{"result": 1}, {"result": "0x"}, {"result": "0xzz"}, {"result": None}, {}])
async def test_an_answer_that_is_no_number_is_nobodys_fault_of_a_report(answer):
    class Odd:
        url = "http://node"

        async def post(self, *_):
            return answer | {"id": 1}

    with pytest.raises(UnavailableError):
        await Chain(Odd()).number("eth_blockNumber")


async def test_an_answer_to_another_question_is_not_taken():
    class Late:
        url = "http://node"

        async def post(self, *_):
            return {"result": "0x1", "id": 7}

    with pytest.raises(UnavailableError, match="another question"):
        await Chain(Late()).number("eth_blockNumber")
