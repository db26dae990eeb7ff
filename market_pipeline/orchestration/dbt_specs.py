"""Specs of assets and checks for dbt's models and tests, read from dbt's manifest.

They equal those of dagster-dbt to the last tag: a test compares them. Importing dagster-dbt brings dbt, a second of
every process that loads the definitions; so only mart_build.py imports it, when a build runs. Measured:
docs/performance.md, section 9.
"""

from collections.abc import Iterator, Mapping
from hashlib import sha1
from textwrap import indent
from typing import Any

import dagster as dg

OWNERS = ["team:market-data"]

Node = Mapping[str, Any]
"""A model, source or test in the manifest. https://docs.getdbt.com/reference/artifacts/manifest-json"""


def build_node_key(node: Node) -> dg.AssetKey:
    """Return a node's asset key: schema and table of a model, the name of the asset that loads a source."""
    is_source = node["resource_type"] == "source"
    return dg.AssetKey([node["name"]]) if is_source else dg.AssetKey([node["schema"], node["name"]])


def build_model_specs(manifest: Mapping[str, Any]) -> Iterator[dg.AssetSpec]:
    """Yield the spec of each model."""
    database = manifest["metadata"]["adapter_type"]
    for node in manifest["nodes"].values():
        if node["resource_type"] == "model":
            code = node["raw_code"]
            yield dg.AssetSpec(
                build_node_key(node),
                deps=list(_build_deps(manifest, node)),
                description=f"{node['description']}\n\n#### Raw SQL:\n```sql\n{indent(code, '    ')}\n```",
                metadata={
                    "dagster-dbt/materialization_type": node["config"]["materialized"],
                    **build_table_metadata(node),
                    "dagster_dbt/unique_id": node["unique_id"],
                    "dagster/storage_kind": database,
                    "dagster_dbt/project_id": dg.MetadataValue.text(manifest["metadata"]["project_id"]),
                },
                skippable=True,
                group_name=node["schema"],
                code_version=sha1(code.encode(), usedforsecurity=False).hexdigest(),
                owners=OWNERS,
                tags=dict.fromkeys(node["tags"], ""),
                kinds={"dbt", database},
            )


def build_dbt_check_specs(manifest: Mapping[str, Any]) -> Iterator[dg.AssetCheckSpec]:
    """Yield the spec of each data test, on the model that it tests."""
    for unique_id, test in manifest["nodes"].items():
        if test["resource_type"] == "test" and (model := _find_tested(manifest, test)):
            parents = {build_node_key(_find_node(manifest, parent)) for parent in test["depends_on"]["nodes"]}
            yield dg.AssetCheckSpec(
                test["name"],
                asset=build_node_key(model),
                description=test["meta"].get("description"),
                additional_deps=parents - {build_node_key(model)},
                metadata={"dagster_dbt/unique_id": unique_id},
                blocking=test["config"]["severity"].lower() == "error",
            )


def build_table_metadata(node: Node) -> dict[str, Any]:
    """Return the metadata that names the table of a model or source, and its columns."""
    columns = [
        dg.TableColumn(name, column["data_type"] or "?", column["description"], tags=dict.fromkeys(column["tags"], ""))
        for name, column in node["columns"].items()
    ]
    table = [node["database"], node["schema"], node.get("alias") or node["name"]]
    return {"dagster/column_schema": dg.TableSchema(columns), "dagster/table_name": ".".join(table)}


def _build_deps(manifest: Mapping[str, Any], model: Node) -> Iterator[dg.AssetDep]:
    storage = {"dagster/storage_kind": manifest["metadata"]["adapter_type"]}
    for parent in dict.fromkeys(model["depends_on"]["nodes"]):
        node = _find_node(manifest, parent)
        is_source = node["resource_type"] == "source"
        yield dg.AssetDep(
            build_node_key(node), metadata={**build_table_metadata(node), **storage} if is_source else None
        )


def _find_tested(manifest: Mapping[str, Any], test: Node) -> Node | None:
    """Return the tested node: the one named, else the only one read, else the one declaring the test."""
    if named := test["config"]["meta"].get("dagster", {}).get("ref"):
        models = (node for node in manifest["nodes"].values() if node["resource_type"] == "model")
        return next((model for model in models if model["name"] == named["name"]), None)
    parents = test["depends_on"]["nodes"]
    unique_id = parents[0] if len(parents) == 1 else test.get("attached_node")
    return _find_node(manifest, unique_id) if unique_id else None


def _find_node(manifest: Mapping[str, Any], unique_id: str) -> Node:
    found: Node = manifest["nodes"].get(unique_id) or manifest["sources"][unique_id]
    return found
