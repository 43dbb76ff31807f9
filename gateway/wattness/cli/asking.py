"""Asking for passphrases at the terminal: not shown, in no history, in no log."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from wattness.errors import ConfigError

PassphraseFile = Annotated[
    Path | None,
    typer.Option(help="A file of mode 0600 with the passphrase, in place of asking for it at the terminal."),
]


def ask(prompt: str) -> str:
    """Return what is typed; raises ConfigError when there is no terminal."""
    from getpass import getpass

    if not sys.stdin.isatty():
        raise ConfigError(f"There is no terminal to ask at ({prompt.rstrip(': ')}); name a file by --passphrase-file.")
    return getpass(prompt)


def passphrase(file: Path | None, prompt: str) -> str:
    """Return the passphrase in a private file, or what is typed; raises ConfigError."""
    from wattness.keys.passphrase import checked
    from wattness.private import read_private

    return checked(ask(prompt), "what was typed") if file is None else checked(read_private(file), str(file))


def new_passphrase(file: Path | None, what: str) -> Callable[[], str]:
    """Return what gives a new passphrase, typed twice unless it is in a file; raises ConfigError when called."""

    def obtain() -> str:
        given = passphrase(file, f"New passphrase of {what}: ")
        if file is None and ask("The same again: ") != given:
            raise ConfigError("The two passphrases differ; nothing was made.")
        return given

    return obtain
