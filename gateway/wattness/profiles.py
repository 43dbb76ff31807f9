"""Where device profiles are, and the profiles themselves by their ids."""

import functools
from pathlib import Path

from wattwire import profile, sunspec
from wattwire.errors import WireError
from wattwire.profile_form import TEXT_MAX

from .errors import ConfigError

SCHEMA_NAME = "schema.json"

Walks = tuple[tuple[str, tuple[str, ...]], ...]  # for a role the profiles that suit it, the best first


def profiles_dir() -> Path:
    """Return the folder of the profiles: the installed package's, else the source tree's."""
    installed = Path(__file__).resolve().parents[1] / "wattprogram" / "firmware" / "profiles"
    return installed if installed.is_dir() else Path(__file__).resolve().parents[2] / "firmware" / "profiles"


def profile_ids() -> list[str]:
    """Return the ids of all profiles that come with the gateway."""
    return sorted(path.stem for path in profiles_dir().glob("*.json") if path.name != SCHEMA_NAME)


def read_profile(path: Path, role: str | None = None) -> profile.Profile:
    """Return the profile in a file, as a stream of `role` reads it; raises ConfigError: the file and the key's path."""
    try:
        with path.open("rb") as file:
            return profile.load(file.read(TEXT_MAX + 1), role)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except WireError as error:
        raise ConfigError(f"{path}: {error.detail}.") from None


@functools.cache
def bundled_profile(name: str, role: str | None = None) -> profile.Profile:
    """Return the profile of that id, as a stream of `role` reads it; raises ConfigError if there is none."""
    if name not in profile_ids():
        raise ConfigError(f"There is no profile {name!r}; `wattness profile list` names them all.")
    return read_profile(profiles_dir() / f"{name}.json", role)


def find_profile(name: str, role: str | None = None) -> profile.Profile:
    """Return the profile with that id or in that file (a name with a slash or .json is a file)."""
    if "/" in name or name.endswith(".json"):
        return read_profile(Path(name), role)
    return bundled_profile(name, role)


def model_profile(
    models: list[sunspec.Model], role: str, walk: Walks = ()
) -> tuple[profile.Profile, sunspec.Model] | None:
    """Return the (Profile, Model) that suits `role` best among a device's SunSpec models, or None."""
    names = sunspec.profiles_for(role, walk)
    for name, model in sunspec.matches(models, [(name, bundled_profile(name).models) for name in names]):
        loaded = bundled_profile(name, role)
        if profile.bind(loaded, model.base, model.length).default:
            return loaded, model
    return None
