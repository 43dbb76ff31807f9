// Runs steps in MicroPython for WebAssembly, a VM of 32 bits, and prints how much of its heap is taken after each.
// node parts.mjs MICROPYTHON.MJS ROM STEPS.JSON; ROM is an image, or a folder of files to be loaded into the heap.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { pathToFileURL } from "node:url";

const [vm, rom, steps] = process.argv.slice(2);
const { loadMicroPython } = await import(pathToFileURL(vm));
const inFiles = statSync(rom).isDirectory();
const python = await loadMicroPython({
  heapsize: 1024 * 1024,
  romfs: inFiles ? undefined : new Uint8Array(readFileSync(rom)),
  stdout: console.log,
  linebuffer: true,
});
if (inFiles) {
  copy(rom, "/rom");
  python.runPython('import sys; sys.path.append("/rom")');
}
for (const step of JSON.parse(readFileSync(steps, "utf8"))) {
  python.runPython(step);
  python.runPython("gc.collect()"); // takes effect when no Python is running any more
  python.runPython("gc.collect()");
  python.runPython("print(gc.mem_alloc())");
}

function copy(from, to) {
  python.FS.mkdir(to);
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, target] = [`${from}/${entry.name}`, `${to}/${entry.name}`];
    if (entry.isDirectory()) copy(source, target);
    else python.FS.writeFile(target, readFileSync(source));
  }
}
