"""Every kind of network that the gateway knows, as data; its adapter is imported when it is opened."""

from .base import Kind

GENERATION, CARBON, METER_DATA, VEHICLE_DATA = "generation", "carbon", "meter_data", "vehicle_data"
ALL_ROLES = frozenset({"pv", "battery", "grid", "load", "vehicle", "charger"})

CATALOG: dict[str, Kind] = {
    "wattnet": Kind(
        title="Wattnet, the reference network",
        module="wattness.networks.wattnet",
        curve="",
        roles=ALL_ROLES,
        claims=frozenset(),
        unit="points",
        status="ready",
        gate="Whoever runs a wattnet sets its rules; it asks for no approval.",
    ),
    "filecoin": Kind(
        title="Filecoin and IPFS, an archive of signed frames",
        module="wattness.networks.filecoin",
        curve="",
        roles=ALL_ROLES,
        claims=frozenset(),
        unit="",
        status="ready",
        gate="Keeps days as files of this gateway until `url` names an IPFS node; what a node has, everybody can read.",
        scope="board",
        window_s=86_400,
        test_url="file:filecoin",
    ),
    "arweave": Kind(
        title="Arweave, a record for ever",
        module="wattness.networks.arweave",
        curve="secp256k1",
        roles=ALL_ROLES,
        claims=frozenset(),
        unit="",
        status="ready",
        gate="Keeps days as files until `url` names a bundler, which wants to be paid; nobody can take anything back.",
        scope="board",
        window_s=86_400,
        test_url="file:arweave",
        production_hosts=(
            "arweave.net",
            "node1.irys.xyz",
            "turbo.ardrive.io",
            "upload.ardrive.io",
            "uploader.irys.xyz",
        ),
    ),
    "peaq": Kind(
        title="peaq, events of a machine on its chain",
        module="wattness.networks.peaq",
        curve="secp256k1",
        roles=ALL_ROLES,
        claims=frozenset({METER_DATA}),
        unit="",
        status="gated by a registered machine",
        gate="The machine must be registered and its subscription paid; `url` names a node of agung or of peaq. "
        "Events raise a machine's rating; they are not paid by themselves.",
        scope="board",
        window_s=86_400,
        serial="network",
    ),
}
