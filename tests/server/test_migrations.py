"""A migration runs while the release before it still serves: that one must go on reading and writing.

The order of an upgrade is: migrate with the new release, then restart the programs one after the other.
"""

from collections.abc import Iterator

import pytest
from django.db.migrations import Migration, operations
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models import NOT_PROVIDED, Field, ManyToManyField

OURS = ("accounts", "benchmarks", "submissions", "uploads")
# The last migration of each app that is older than this rule: an upgrade across it needs a stop.
OLDER = {"accounts": 5, "benchmarks": 14, "submissions": 12, "uploads": 1}
# Younger ones that need a stop all the same, and why there is no other way. CHANGELOG.md says so to operators.
NEED_A_STOP: dict[str, str] = {}
GONE = (operations.RemoveField, operations.DeleteModel, operations.RenameField, operations.RenameModel)


def faults(migration: Migration, before: ProjectState) -> Iterator[str]:
    """What the earlier release could not live with. before : the models that it knows."""
    made: set[str] = set()
    state = before.clone()
    for operation in migration.operations:
        name = getattr(operation, "model_name", getattr(operation, "name", "")).lower()
        if isinstance(operation, operations.CreateModel):
            made.add(name)
        elif isinstance(operation, GONE):
            yield f"{operation.describe()}: the earlier release still uses it. Remove it one release later"
        elif name not in made:
            yield from _faults_of_change(operation, state, migration.app_label)
        operation.state_forwards(migration.app_label, state)


def _faults_of_change(operation: operations.base.Operation, state: ProjectState, app: str) -> Iterator[str]:
    if isinstance(operation, operations.AddField):
        if not _may_be_left_out(operation.field):
            yield f"{operation.describe()}: an INSERT without it fails. Give it null=True or db_default"
    elif isinstance(operation, operations.AlterField):
        earlier = state.models[app, operation.model_name.lower()].fields[operation.name]
        if type(earlier) is not type(operation.field):
            yield f"{operation.describe()}: another type of column. Add a column, and copy"
        elif earlier.null and not operation.field.null:
            yield f"{operation.describe()}: the earlier release writes NULL"
        elif (operation.field.max_length or 0) < (earlier.max_length or 0):
            yield f"{operation.describe()}: the earlier release writes longer values"
    elif isinstance(operation, operations.AddConstraint):
        yield f"{operation.describe()}: the earlier release does not keep to it. Add it one release later"


def _may_be_left_out(field: Field) -> bool:
    return isinstance(field, ManyToManyField) or field.null or field.db_default is not NOT_PROVIDED


def younger_than_the_rule() -> list[tuple[str, str]]:
    loader = MigrationLoader(None)
    return [key for key in loader.disk_migrations if key[0] in OURS and int(key[1][:4]) > OLDER[key[0]]]


def test_the_release_before_goes_on_after_each_migration():
    loader = MigrationLoader(None)
    found = [
        f"{app}.{name}: {fault}"
        for app, name in younger_than_the_rule()
        if f"{app}.{name}" not in NEED_A_STOP
        for fault in faults(loader.disk_migrations[app, name], loader.project_state((app, name), at_end=False))
    ]
    assert found == []


# The rule is held against what history has: it is no rule if nothing breaks it.
@pytest.mark.parametrize(
    ("migration", "said"),
    [
        (("submissions", "0003_add_mailed_status"), "an INSERT without it fails"),
        (("submissions", "0009_scoring_variant"), "does not keep to it"),
        (("submissions", "0006_add_diagnosis"), None),
        (("submissions", "0008_order_equal_times"), None),
    ],
)
def test_the_rule_knows_what_breaks_it(migration, said):
    loader = MigrationLoader(None)
    found = list(faults(loader.disk_migrations[migration], loader.project_state(migration, at_end=False)))
    assert bool(found) == (said is not None)
    assert said is None or any(said in fault for fault in found)
