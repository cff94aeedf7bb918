"""The Grafana dashboard fits Grafana's own types, those of the version that deploy/compose.yaml starts.

The types are TypeScript: the JSON is written as a program that declares each part of it, and the compiler judges.
"""

from __future__ import annotations

import copy
import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import ROOT
from tests.web.monitoring import dashboard

MODULES = ROOT / "tests" / "javascript" / "node_modules"
TYPES = MODULES / "@grafana" / "schema"
PROGRAM = """
import type * as dashboard from "@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen";
import type * as stat from "@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as timeseries
    from "@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
// JSON has the values of enumerations, not their names.
type Plain<T> = T extends string ? `${T}` : T extends Array<infer U> ? Plain<U>[]
    : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Whole = Plain<Omit<dashboard.Dashboard, "annotations" | "panels" | "templating">>;
type Row = Plain<dashboard.RowPanel>;
type Panel = Plain<Omit<dashboard.Panel, "options" | "targets">>;
type Options<T> = Partial<Plain<T>>;
type Custom = Plain<timeseries.FieldConfig>;
// Fields of the Prometheus data source; its types are in no package.
type Target = {
    refId: string; datasource: Plain<dashboard.DataSourceRef>; expr: string; range?: boolean; instant?: boolean;
    legendFormat?: string; format?: "time_series" | "table" | "heatmap"; editorMode?: "code" | "builder";
    interval?: string; exemplar?: boolean;
};
type Annotation = Plain<dashboard.AnnotationQuery> & { expr: string; titleFormat?: string; textFormat?: string;
    tagKeys?: string; step?: string; useValueForTime?: boolean };
type Variable = Plain<Omit<dashboard.VariableModel, "current">> & { current?: {}; definition?: string };
"""


def declarations(board: dict[str, Any]) -> str:
    """The program that declares all parts of a dashboard."""
    board = copy.deepcopy(board)
    parts: list[tuple[str, Any]] = [("Annotation", each) for each in board.pop("annotations")["list"]]
    parts += [("Variable", each) for each in board.pop("templating")["list"]]
    for panel in board.pop("panels"):
        if panel["type"] == "row":
            parts.append(("Row", panel))
            continue
        parts.append((f"Options<{panel['type']}.Options>", panel.pop("options", {})))
        parts += [("Target", each) for each in panel.pop("targets")]
        parts.append(("Custom", panel["fieldConfig"]["defaults"].pop("custom", {})))
        parts.append(("Panel", panel))
    for name in ("__inputs", "__requires"):  # for those who import the file by hand
        del board[name]
    parts.append(("Whole", board))
    lines = (f"export const part{n}: {kind} = {json.dumps(each)};" for n, (kind, each) in enumerate(parts))
    return "\n".join((PROGRAM, *lines, ""))


def problems(board: dict[str, Any], place: Path) -> list[str]:
    """What the compiler says about a dashboard."""
    place.mkdir()
    (place / "node_modules").symlink_to(MODULES)
    (place / "dashboard.ts").write_text(declarations(board), "utf-8")
    options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "esnext", "--moduleResolution", "bundler"]
    run = subprocess.run(
        [str(MODULES / ".bin" / "tsc"), *options, "--target", "es2023", "dashboard.ts"],
        cwd=place,
        capture_output=True,
        text=True,
        check=False,
    )
    return re.findall(r"error (.*)", run.stdout)


def first(board: dict[str, Any], kind: str) -> dict[str, Any]:
    panel: dict[str, Any] = next(panel for panel in board["panels"] if panel["type"] == kind)
    return panel


SPOILT: dict[str, Callable[[dict[str, Any]], None]] = {
    "graphTooltips": lambda board: board.update(graphTooltips=1),
    "backgroud": lambda board: first(board, "stat")["options"].update(colorMode="backgroud"),
    "dash": lambda board: first(board, "timeseries")["fieldConfig"]["defaults"]["custom"].update(drawStyle="dash"),
    "gridPosition": lambda board: first(board, "row").update(gridPosition={}),
    "multy": lambda board: board["templating"]["list"][0].update(multy=True),
    "expression": lambda board: first(board, "stat")["targets"][0].update(expression="up"),
}


@pytest.mark.skipif(not TYPES.is_dir(), reason="Grafana's types are not installed: make lint-pages")
def test_the_dashboard_fits_the_types_of_grafana(tmp_path: Path) -> None:
    assert problems(dashboard(), tmp_path / "given") == []
    spoilt = dashboard()
    for change in SPOILT.values():
        change(spoilt)
    found = problems(spoilt, tmp_path / "spoilt")
    for word in SPOILT:
        assert any(word in line for line in found), word


def test_the_types_are_of_the_grafana_that_compose_starts() -> None:
    package = json.loads((ROOT / "tests" / "javascript" / "package.json").read_text("utf-8"))
    compose = (ROOT / "deploy" / "compose.yaml").read_text("utf-8")
    assert f"image: grafana/grafana:{package['devDependencies']['@grafana/schema']}\n" in compose
