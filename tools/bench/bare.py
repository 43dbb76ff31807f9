"""The peer of the end-to-end row: the barest loop over aiomqtt that verifies, inserts, commits and acknowledges.

`python -m bench.bare FILE`: FILE is JSON `{"host", "port", "user", "password", "folder", "boards": [enrolment + key]}`.
It decodes nothing, judges nothing and keeps no books: what it leaves out is what the gateway is for.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import aiomqtt
import apsw
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from wattness.verify import der
from wattwire import cose, link

COMMIT_S = 0.03
_ES256 = ec.ECDSA(hashes.SHA256())


class BareLoop:
    """Keys, database and connection of the loop."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self.plan = plan
        self.keys, self.link_keys = {}, {}
        for board in plan["boards"]:
            kid = bytes.fromhex(board["mqtt"]["user"])
            self.keys[kid] = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(board["key"]))
            self.link_keys[kid] = bytes.fromhex(board["link_key"])
        self.seqs = dict.fromkeys(self.keys, 0)
        self.batch: list[tuple[bytes, int, bytes]] = []
        self.db = apsw.Connection(str(Path(plan["folder"]) / "bare.db"))
        self.db.execute("PRAGMA journal_mode=WAL").fetchall()
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE frame (kid BLOB, seq INTEGER, raw BLOB, UNIQUE (kid, seq))")

    async def run(self) -> None:
        """Take frames until the process is ended."""
        plan = self.plan
        async with aiomqtt.Client(
            plan["host"], plan["port"], username=plan["user"], password=plan["password"]
        ) as client:
            await client.subscribe("wattness/1/+/frame", qos=1)
            print("ready", flush=True)
            commits = asyncio.create_task(self._commit_for_ever(client))
            async for message in client.messages:
                kid = bytes.fromhex(message.topic.value.split("/")[2])
                raw = message.payload
                assert isinstance(raw, bytes)  # noqa: S101  (aiomqtt's type is wider)
                _, payload, signature = cose.parse(raw)
                self.keys[kid].verify(der(signature), cose.to_be_signed(kid, payload), _ES256)
                self.seqs[kid] += 1
                self.batch.append((kid, self.seqs[kid], raw))
            await commits

    async def _commit_for_ever(self, client: aiomqtt.Client) -> None:
        while True:
            await asyncio.sleep(COMMIT_S)
            batch, self.batch = self.batch, []
            if batch:
                with self.db:
                    self.db.executemany("INSERT INTO frame VALUES (?, ?, ?)", batch)
                for kid, seq in {kid: seq for kid, seq, _ in batch}.items():
                    topic = link.topic(kid, "ack")
                    body = link.encode_ack(1, seq, time.time_ns() // 1_000_000)
                    await client.publish(topic, link.seal(self.link_keys[kid], topic, body))


if __name__ == "__main__":
    asyncio.run(BareLoop(json.loads(Path(sys.argv[1]).read_text())).run())
