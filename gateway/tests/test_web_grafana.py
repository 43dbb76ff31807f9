"""The dashboard: Prometheus understands its queries, and they ask for what a gateway counts."""

import json
import re
import runpy
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

FILE = Path(__file__).parents[1] / "grafana" / "wattness.json"
PROMTOOL = shutil.which("promtool")
_world = runpy.run_path(str(Path(__file__).with_name("web_world.py")))


def dashboard():
    return json.loads(FILE.read_text())


def queries():
    return [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]


async def test_queries_ask_for_what_is_counted():
    async with _world["served"]() as session, session.get("/metrics") as response:
        text = await response.text()
    known = {
        family.name + ("_total" if family.type == "counter" else "") for family in text_string_to_metric_families(text)
    }
    asked = {name for query in queries() for name in re.findall(r"\b(?:wattness|process)_\w+", query)}
    assert asked <= known
    assert {name for name in known if name.startswith("wattness_")} - asked <= UNSHOWN


UNSHOWN = {  # of use for alerts and for looking closely
    "wattness_board_missing_frames",
    "wattness_build_info",
    "wattness_duplicates_total",
    "wattness_equivocations_total",
    "wattness_late_total",
    "wattness_logins_refused_total",
    "wattness_rows_not_taken_total",
}


def test_labels_in_legends_exist():
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", []):
            assert not re.search(
                r"{{(?!(?:role|board|device|reason|rule|verdict|network|state|file)}})", target["legendFormat"]
            )


def test_promtool_understands_every_query(tmp_path):
    if PROMTOOL is None:
        pytest.skip("PROMTOOL IS NOT INSTALLED: the dashboard's queries were not checked by it")
    rules = [
        {"record": f"wattness:query:{number}", "expr": query.replace("$instance", ".*").replace("$job", ".*")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "rules.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([PROMTOOL, "check", "rules", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_lie_side_by_side():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
    assert dashboard()["uid"] == "wattness"
