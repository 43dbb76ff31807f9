"""What the folder's page tells owners to write is what the gateway reads."""

import importlib
import re
from pathlib import Path

import pytest

import wattness.networks
from wattness import config
from wattness.networks import kind_of, settled
from wattness.networks.base import settings_of

PAGE = Path(wattness.networks.__file__).with_name("README.md").read_text()
BLOCKS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_example_is_read(block, tmp_path):
    for network in config.parse(block, tmp_path).network:
        kind = kind_of(settled(network))
        assert settings_of(network, importlib.import_module(kind.module).Settings)
