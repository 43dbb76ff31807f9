// Compiles Claims.sol with npm's solc and prints the artefact: `node compile.mjs > Claims.json`, after `npm ci`.
// NODE_PATH names the folder of the packages when they are not installed beside this file.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const solc = createRequire(import.meta.url)("solc");
const source = readFileSync(new URL("Claims.sol", import.meta.url), "utf8");
const settings = {
  optimizer: { enabled: true, runs: 200 },
  evmVersion: "paris", // no opcode that a young chain may lack
  metadata: { bytecodeHash: "none" }, // the same bytes wherever it is compiled
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.methodIdentifiers"] } },
};
const input = { language: "Solidity", sources: { "Claims.sol": { content: source } }, settings };
const output = JSON.parse(solc.compile(JSON.stringify(input)));
for (const fault of output.errors ?? []) process.stderr.write(`${fault.formattedMessage}\n`);
if (output.errors?.length) process.exit(1);
const { abi, evm } = output.contracts["Claims.sol"].Claims;
const artefact = { compiler: solc.version(), evmVersion: settings.evmVersion, abi, bytecode: evm.bytecode.object };
process.stdout.write(`${JSON.stringify(artefact, null, 1)}\n`);
