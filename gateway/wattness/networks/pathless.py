"""Networks that take nothing from a gateway that is not theirs: what stands in the way, and what could be given."""

from .base import Kind

CELL = "`wattness offer cell` gives the site as a coarse H3 cell"
ENERGY = "`wattness offer energy` gives OpenADR 3 reports of the energy"
MOBILITY = "`wattness offer mobility` gives a car's intervals without its positions"
OPERATED = "[[operates]] puts the energy and cost of the load beside the pay that is imported"

_CARS = frozenset({"vehicle"})
_HOME = frozenset({"pv", "battery", "grid", "load", "charger"})
_LOADS = frozenset({"load"})

# name, title, roles, unit, status, what stands in the way, what can be given
_ROWS: tuple[tuple[str, str, frozenset[str], str, str, str, str], ...] = (
    ("hivemapper", "Hivemapper, maps by dashcams", _CARS, "HONEY", "no public path",
     "Takes images of its own sealed cameras only; their plugins read the camera and submit nothing", MOBILITY),
    ("natix", "Natix, maps by phones and cars' cameras", _CARS, "NATIX", "no public path",
     "A closed app and a closed device, no interface for others", MOBILITY),
    ("react", "React, homes as a power plant", _HOME, "", "no public path",
     "Only makers of batteries are admitted, cloud to cloud, and it proves itself by dispatching them", ENERGY),
    ("daylight", "Daylight, home energy", _HOME, "", "no public path",
     "Devices join by their makers' clouds, with the owner's log-in there; no gateway can speak for them", ENERGY),
    ("xnet", "XNET, mobile coverage", frozenset(), "XNET", "no public path",
     "Pays for data that its own radio units offload; nothing that a meter knows is asked for", CELL),
    ("starpower", "Starpower, plugs and batteries", _HOME, "STAR", "no public path",
     "Takes its own devices only, and how they speak is not public", ENERGY),
    ("weatherxm", "WeatherXM, weather stations", frozenset(), "WXM", "no public path",
     "Its rules of quality are public, but only stations with its firmware may submit", CELL),
    ("helium", "Helium, LoRaWAN coverage", frozenset(), "", "transport only",
     "Carries boards behind LoRaWAN to a ChirpStack ([lorawan]); it pays hotspots, not the sensors", CELL),
    ("energyweb", "Energy Web, registries for companies", _HOME, "", "no public path",
     "Made with companies for their own programmes; no reward network for a home", ENERGY),
    ("powerledger", "Powerledger, trading for utilities", _HOME, "", "no public path",
     "A home takes part by its utility; no reward network for a home", ENERGY),
    ("render", "Render, work for graphics cards", _LOADS, "RENDER", "compute operator",
     "Pays for frames that its own client renders, by approval", OPERATED),
    ("akash", "Akash, containers for rent", _LOADS, "AKT", "compute operator",
     "Pays providers for leases; gateway/deploy/akash.yaml runs wattnet and a fleet gateway on it", OPERATED),
    ("ionet", "io.net, graphics cards for rent", _LOADS, "IO", "compute operator",
     "Pays for hours that its own client offers", OPERATED),
)  # fmt: skip

PATHLESS: dict[str, Kind] = {
    name: Kind(
        title=title,
        module="",
        curve="",
        roles=roles,
        claims=frozenset(),
        unit=unit,
        status=status,
        gate=f"{gate}. Today {given}.",
    )
    for name, title, roles, unit, status, gate, given in _ROWS
}
