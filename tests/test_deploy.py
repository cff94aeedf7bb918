"""What is in deploy/ fits the program: settings, files, ports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from p2pool.app.environment_settings import variable_of
from p2pool.app.settings import all_settings
from p2pool.networks import NETWORKS
from tests.support import ROOT

DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))
CONTAINERFILE = (DEPLOY / "Containerfile").read_text("utf-8")
SETTINGS = all_settings().values()
VARIABLES = {each.secret.variable if each.secret else variable_of(each) for each in SETTINGS}


def test_each_variable_of_the_node_is_a_setting():
    for name, service in COMPOSE["services"].items():
        variables = {each for each in service.get("environment", {}) if each.startswith("P2POOL_")}
        assert variables <= VARIABLES, name
    assert set(re.findall(r"\b(P2POOL_\w+)=", CONTAINERFILE)) <= {*VARIABLES, "P2POOL_COMPILE"}


def test_each_profile_has_one_node_and_what_it_depends_on():
    for profile in ("simnet", "solo", "full"):
        services = {name: each for name, each in COMPOSE["services"].items() if profile in each["profiles"]}
        assert [each["image"] for each in services.values()].count("p2pool-dash") == 1
        for service in services.values():
            assert set(service.get("depends_on", ())) <= set(services)
    assert {"dashd", "redis", "postgres", "prometheus", "grafana"} <= set(services)


def test_volumes_are_declared_and_files_exist():
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).exists(), (name, source)
            else:
                assert source in COMPOSE["volumes"], (name, source)


def test_every_variable_that_compose_asks_for_is_in_the_example():
    asked = set(re.findall(r"\$\{(\w+)", (DEPLOY / "compose.yaml").read_text("utf-8")))
    lines = (DEPLOY / "env.example").read_text("utf-8").splitlines()
    assert {line.partition("=")[0] for line in lines if line and not line.startswith("#")} == asked


def test_the_node_cannot_write_to_its_image_and_has_no_rights():
    for service in COMPOSE["services"].values():
        if service["image"] == "p2pool-dash":
            assert service["read_only"]
            assert service["cap_drop"] == ["ALL"]
    assert re.search(r"^USER p2pool$", CONTAINERFILE, re.MULTILINE)


def test_ports_are_those_of_the_networks():
    dash, simnet = NETWORKS["dash"], NETWORKS["simnet"]
    assert f"EXPOSE {dash.worker_port} {dash.p2p_port}\n" in CONTAINERFILE
    assert f"HEALTH_URL=http://127.0.0.1:{dash.worker_port}/healthz" in CONTAINERFILE
    assert f":{simnet.worker_port}/" in COMPOSE["services"]["simnet"]["environment"]["HEALTH_URL"]
    prometheus = yaml.safe_load((DEPLOY / "compose" / "prometheus.yml").read_text("utf-8"))
    assert prometheus["scrape_configs"][0]["static_configs"][0]["targets"] == [f"node:{dash.worker_port}"]


def test_the_image_is_made_of_what_the_build_needs():
    kept = re.findall(r"^!(\S+)$", (DEPLOY / "Containerfile.containerignore").read_text("utf-8"), re.MULTILINE)
    assert {"p2pool", "web-static", "setup.py", "pyproject.toml", "README.md", "requirements*"} <= set(kept)
    for pattern in kept:
        assert list(ROOT.glob(pattern)), pattern


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_prometheus_takes_its_configuration(tmp_path: Path):
    shutil.copy(DEPLOY / "compose" / "prometheus.yml", tmp_path)
    shutil.copy(ROOT / "docs" / "prometheus" / "alerts.yml", tmp_path)
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yml")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.skipif(find_spec("check_jsonschema") is None, reason="check-jsonschema is not installed")
def test_compose_yaml_follows_the_compose_specification(tmp_path: Path):
    text = (DEPLOY / "compose.yaml").read_text("utf-8")
    paths = {"given": text, "a wrong key": text.replace("  read_only:", "  readonly:")}
    paths["a wrong type"] = text.replace("[simnet]", "simnet")
    for name, content in paths.items():
        (tmp_path / name).with_suffix(".yaml").write_text(content, "utf-8")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    command += ["--output-format", "json", *map(str, tmp_path.iterdir())]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {Path(each["filename"]).stem: each["message"] for each in json.loads(run.stdout)["errors"]}
    assert found.keys() == {"a wrong key", "a wrong type"}, run.stdout


def test_grafana_finds_the_data_source_and_the_dashboard():
    provisioning = DEPLOY / "compose" / "grafana" / "provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yaml").read_text("utf-8"))[
        "datasources"
    ]
    assert source["url"].startswith("http://prometheus:")
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "p2pool-dash.yaml").read_text("utf-8"))[
        "providers"
    ]
    folders = [each.split(":")[1] for each in COMPOSE["services"]["grafana"]["volumes"]]
    assert provider["options"]["path"] in folders


def test_the_debian_package_has_the_paths_of_the_units():
    unit = (ROOT / "docs" / "systemd" / "p2pool-dash.service").read_text("utf-8")
    program, *words = re.findall(r"^ExecStart=(.*)$", unit, re.MULTILINE)[0].split()
    settings, data = words[words.index("--config") + 1], words[words.index("--datadir") + 1]
    build, postinst, postrm = (
        (DEPLOY / "debian" / name).read_text("utf-8") for name in ("build", "postinst", "postrm")
    )
    assert f"echo {settings} >" in build
    assert f"ln -s {program} " in build
    assert f"install -d -o p2pool -g p2pool -m 750 {data}\n" in postinst
    assert f"root:p2pool {Path(settings).parent} {settings}\n" in postinst
    assert f"for data in {data} " in postrm
    assert "\nUser=p2pool\nGroup=p2pool\n" in unit
