// Reads archives with the libraries of IPFS and of Arweave, and says as JSON what it found in each.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { CarIndexer, CarReader } from "@ipld/car";
import * as dagCbor from "@ipld/dag-cbor";
import { DataItem } from "./node_modules/@dha-team/arbundles/build/node/esm/src/DataItem.js"; // the index wants axios

const sha256 = (data) => createHash("sha256").update(data).digest();
const same = (left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)) === 0;

async function readCar(bytes) {
  const reader = await CarReader.fromBytes(bytes);
  const [root] = await reader.getRoots();
  const index = await CarIndexer.fromBytes(bytes);
  let indexed = 0;
  for await (const _ of index) indexed += 1;
  let blocks = 0;
  for await (const { cid, bytes: block } of reader.blocks()) {
    blocks += 1;
    const canonical = same(dagCbor.encode(dagCbor.decode(block)), block);
    const named = cid.version === 1 && cid.code === dagCbor.code && same(cid.multihash.digest, sha256(block));
    if (!canonical || !named) throw new Error(`block ${cid} is not what it should be`);
  }
  const value = dagCbor.decode((await reader.get(root)).bytes);
  const frames = [];
  for (const [, , links] of value.frames)
    for (const link of links) frames.push(Buffer.from(dagCbor.decode((await reader.get(link)).bytes)).toString("hex"));
  return { version: reader.version, root: root.toString(), blocks, indexed, day: value.day, frames };
}

async function readItem(bytes) {
  const item = new DataItem(bytes);
  const spoiled = Buffer.from(bytes);
  spoiled[spoiled.length - 1] ^= 1;
  return {
    valid: await DataItem.verify(bytes),
    spoiled: await DataItem.verify(spoiled),
    id: item.id,
    type: item.signatureType,
    tags: item.tags,
    target: item.target,
    anchor: item.anchor,
    digest: Buffer.from(await item.getSignatureData()).toString("hex"),
    data: Buffer.from(item.rawData).toString("hex"),
  };
}

const [kind, file] = process.argv.slice(2);
const found = await { car: readCar, item: readItem }[kind](readFileSync(file));
console.log(JSON.stringify(found));
