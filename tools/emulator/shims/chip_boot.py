"""Starts the unix VM as the chip would start: modules in place, flash mounted at `/`, boot.py, then main.py."""

import asyncio  # before `time` is replaced: the scheduler's C part counts in the VM's own ticks
import gc
import sys
import time  # noqa: F401  (the VM's own, for the shims)
import vfs

import chip_esp32
import chip_flash
import chip_machine
import chip_memory
import chip_network
import chip_supervisor
import chip_time
import chip_vfs

_kept = [asyncio, chip_memory]


def start(main):
    """Bring the chip up; `main` is the namespace that boot.py, main.py and the REPL share."""
    port, tty = sys.argv[1:]
    del sys.argv[:]
    host = vfs.VfsPosix()  # without a root: with one, its `rename` mixes up the two names
    # A session leader that opens a terminal gets it as its own: Ctrl-C becomes SIGINT, and we die with our supervisor.
    _kept.append(host.open(tty, "r"))
    chip_supervisor.attach(int(port))
    given = chip_supervisor.settings
    chip_time.begin(given["rate"], given["rtc_ns"], given["wrap_in_ms"])
    chip_esp32.begin(host, given["folder"])
    if given["ble"]:
        import chip_bluetooth  # noqa: PLC0415 (a chip without a radio has no such module)

        sys.modules["bluetooth"] = chip_bluetooth
    chip_memory.end()
    sys.path[:] = ["", ".frozen", "/lib"]
    gc.collect()
    chip_supervisor.tell("heap", gc.mem_alloc() - chip_memory.bare_bytes)
    _mount(host, given)
    sys.modules.update({"machine": chip_machine, "network": chip_network, "esp32": chip_esp32, "time": chip_time})
    sys.modules.update({"utime": chip_time, "umachine": chip_machine, "vfs": chip_vfs})
    for name in [name for name in sys.modules if name.startswith("chip_")]:
        del sys.modules[name]
    chip_supervisor.tell("up")
    if _run("boot.py", main) and given["run_main"]:
        _run("main.py", main)


def _mount(host, given):
    # The file stays open for as long as the VM lives: LittleFS closes forgotten files from finalisers.
    image = host.open(given["folder"] + "/flash.img", "r+b")
    cut_at, tear = given["cut"] or (0, "none")
    flash = chip_flash.Flash(image, image.seek(0, 2) // chip_flash.BLOCK, cut_at, tear, _cut)
    _kept.append(flash)
    if chip_memory.rom is not None:
        _kept.append(host.open(given["folder"] + "/rom.img", "r+b"))
        chip_vfs.begin(chip_memory.rom, _kept[-1])
    vfs.umount("/")
    vfs.mount(vfs.VfsLfs2(flash), "/")
    if chip_vfs.mount_rom():
        sys.path.extend(("/rom", "/rom/lib"))


def _cut():
    chip_supervisor.halt("cut")


def _run(name, main):
    """Run a file of the flash as the chip does; whether the start goes on."""
    try:
        with open(name) as file:
            code = compile(file.read(), name, "exec")
    except OSError:
        return True
    except SyntaxError as error:
        sys.print_exception(error)
        return True
    try:
        exec(code, main)
    except SystemExit:
        chip_supervisor.halt("reset", chip_machine.SOFT_RESET)
    except (Exception, KeyboardInterrupt) as error:
        sys.print_exception(error)
        return not isinstance(error, KeyboardInterrupt)
    return True
