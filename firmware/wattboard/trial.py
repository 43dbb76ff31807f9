"""What a start on trial has shown, and what becomes of it; loaded when there is something to decide."""

import os

from wattboard.errors import ConfigError
from wattboot import word as words

CONFIG_PATH, CONFIG_TRIAL_PATH = "/config.json", "/config.try"
HEALTH_S = 600


def keep(state, config_path=CONFIG_PATH, trial_path=CONFIG_TRIAL_PATH):
    """The gateway has a frame of this start: keep its program or its configuration."""
    word = state.word()
    if word & words.CONFIG_TRYING:
        os.rename(trial_path, config_path)
    _set(state, word, words.kept(word))


def survive(state):
    """This start has lived for long enough not to count as a bad one; the next one leaves safe mode."""
    word = state.word()
    _set(state, word, words.survived(word))


def excuse(state):
    """This start ends because somebody wants it to."""
    word = state.word()
    _set(state, word, words.excused(word))


def begin_config(state, health_s=None):
    """Have the next start try what is in CONFIG_TRIAL_PATH; raises ConfigError while another trial goes on."""
    word = state.word()
    if words.is_waiting(word):
        raise ConfigError("$: another trial is under way; try again after it")
    state.set_word(words.try_config(word, health_s or HEALTH_S))


def tell(state, health):
    """Have the health records tell of the way this start came about."""
    word = state.word()
    health.tell("slot", words.slot(word))
    health.tell("safe_mode", words.bad(word) if words.is_safe(word) else None)
    health.tell("bad_starts", words.bad(word) or None)
    health.tell("on_trial", 1 if words.is_trial(word) else None)
    health.tell("update_rolled_back", 1 if word & words.FAILED else None)
    health.tell("config_rolled_back", 1 if word & words.CONFIG_FAILED else None)


def _set(state, before, after):
    if after != before:
        state.set_word(after)
