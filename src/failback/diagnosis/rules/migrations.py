"""Schema and data: migrations that fail, tables and columns that the code expects and the database does not have."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hit, Hypothesis, line_rule
from failback.model.diagnosis import FailureType

_TOOLS = (("django", "python manage.py makemigrations && python manage.py migrate"), ("alembic", "alembic upgrade head"), ("flyway", "flyway migrate"), ("liquibase", "liquibase update"), ("prisma", "npx prisma migrate deploy"),
          ("sequelize", "npx sequelize-cli db:migrate"), ("typeorm", "npx typeorm migration:run"), ("knex", "npx knex migrate:latest"), ("activerecord", "bin/rails db:migrate"), ("rails", "bin/rails db:migrate"), ("ecto", "mix ecto.migrate"),
          ("laravel", "php artisan migrate --force"), ("illuminate", "php artisan migrate --force"), ("doctrine", "php bin/console doctrine:migrations:migrate"), ("entityframework", "dotnet ef database update"), ("goose", "goose up"), ("golang-migrate", "migrate up"), ("sqlx", "sqlx migrate run"), ("diesel", "diesel migration run"), ("sqlalchemy", "alembic revision --autogenerate && alembic upgrade head"))  # fmt: skip


def _tool(hit: Hit) -> tuple[str, str]:
    text = (hit.document.lower[:200_000] + " ".join(hit.scene.change.files)).lower()
    return next(
        ((name, command) for name, command in _TOOLS if name in text), ("the migration tool", "<run the migrations>")
    )


@line_rule(
    "schema-behind",
    "no such column|no such table|does not exist|doesn't exist|unknown column|undefined column|undefinedcolumn|undefinedtable|invalid column name|invalid object name|ora-00942|ora-00904|schema-validation|unappliedmigration|unapplied migration|pending migration|pendingmigration|migrations are pending|has no column|ora-00944|not found; sql statement|user lacks privilege or object not found|is either not in any table",
    r"no such (?P<k1>column|table): (?P<n1>[\w.\"]+)|(?P<k2>relation|column|table) \"?(?P<n2>[\w.\"]+?)\"?(?: of relation \"?(?P<rel>\w+)\"?)? (?:does not|doesn't) exist|Table '(?P<n3>[^']+)' doesn't exist|Unknown column '(?P<n4>[^']+)'|Invalid (?:column|object) name '(?P<n5>[^']+)'|ORA-0094?[24]|Schema-validation: missing (?P<k6>column|table) \[(?P<n6>[^\]]+)\]|(?:unapplied|pending) migration|Migrations are pending|PendingMigration|table \w+ has no column named (?P<n7>\w+)|The (?:table|column) `(?P<n8>[^`]+)` does not exist|(?:Column|Table|Sequence) \"(?P<n9>[^\"]+)\" not found(?: \([^)]*\))?; SQL statement|user lacks privilege or object not found: (?P<na>[\w.]+)|Column \'(?P<nb>[^\']+)\' is either not in any table",
    source="SQLite, PostgreSQL 42P01/42703, MySQL 1146/1054, SQL Server 207/208, Oracle; ORMs",
)
def schema_behind(hit: Hit) -> Hypothesis | None:
    """The code expects a table or column that the database does not have."""
    name = next((v for k, v in hit.match.groupdict().items() if k.startswith("n") and v), "").strip('"')
    if 'role "' in hit.line or 'database "' in hit.line or "Unknown database" in hit.line:
        return None
    if not name and "migration" not in hit.line.lower():
        return None
    tool, command = _tool(hit)
    kind = "column" if re.search(r"column", hit.line, re.IGNORECASE) else "table" if name else "migration"
    what = f"the {kind} {name} does not exist in the database" if name else "migrations are pending"
    return Hypothesis(
        FailureType.MIGRATION_FAILED,
        f"The database schema does not fit the code: {what} (a migration is missing or was not applied){hit.at}: {hit.line}",
        0.94,
        (
            high(
                f"Create and apply the migration for {name or 'the pending changes'}",
                f"Add a migration that creates the {kind} {name} (makemigrations, or the tool's equivalent), commit it, and run the migrations before the new release starts",
                command,
            ),
            medium(
                "Keep old and new code working with one schema",
                "Add columns first, use them in the next release, remove old ones last, so that a rollback needs no database change",
                "",
            ),
        ),
        names=tuple(part for part in re.split(r"[.\"]+", name) if len(part) > 2),
        facts={"object": name, "tool": tool},
    )


@line_rule(
    "database-missing",
    "unknown database|database \"|database '",
    r"Unknown database '(?P<a>[^']+)'|database \"(?P<b>[^\"]+)\" does not exist|Cannot open database \"(?P<c>[^\"]+)\"",
    source="PostgreSQL 3D000, MySQL 1049, SQL Server 4060",
)
def database_missing(hit: Hit) -> Hypothesis | None:
    """The server is there; the database is not."""
    name = hit.get("a") or hit.get("b") or hit.get("c")
    return Hypothesis(
        FailureType.INVALID_CONFIGURATION,
        f"The database {name} does not exist on the server{hit.at}: {hit.line}",
        0.82,
        (
            high(
                f"Create the database {name} or correct its name",
                f"Create {name} (and run the migrations), or set the right database name in the connection address (DATABASE_URL)",
                f"createdb {name}",
            ),
        ),
        names=(name,),
    )


@line_rule(
    "migration-history",
    "directory is corrupt|applied before its dependency|can't locate revision|is not present|multiple head|checksum mismatch|failed migration|flyway|nodenotfounderror|inconsistentmigrationhistory|dirty database|validate failed|target database is not up to date|p3009|p3018|p3005|migration failed|error applying migration|failed to apply|migrationerror|migrate: |migrations failed|conflicting migrations|migrations have failed|detected failed migration|error running migration|liquibase|irreversible|rake aborted|migration|check sum",
    r"Migration (?P<inc>\S+ is applied before its dependency \S+)|migration directory is corrupt[^\n]*missing: (?P<knex>[^\n]+)|Revision (?P<ref>\S+) referenced from [^\n]* is not present|Can't locate revision identified by '(?P<rev>[^']+)'|Multiple head revisions|[Cc]hecksum mismatch for migration version (?P<fly>\S+)|NodeNotFoundError: Migration (?P<dj>\S+)|InconsistentMigrationHistory|Dirty database version (?P<dirty>\d+)|Flyway\w*Exception|Validate failed|Target database is not up to date|P30(?:09|18|05)|[Mm]igration [`'\"]?(?P<m>[\w.-]+)[`'\"]? (?:failed|could not)|[Mm]igrations? (?:failed|error)|Error applying migration (?P<ap>\S+)|[Ff]ailed migration to version (?P<fv>[\w.]+)|Conflicting migrations|MigrationError|Validation Failed:.*change sets? check sum|LiquibaseException|Failed to apply (?:migration )?(?P<fa>\S+)|StandardError: An error has occurred, (?:this and )?all later migrations canceled",
    source="alembic, Django, Flyway, Liquibase, Prisma, golang-migrate, Rails",
)
def history(hit: Hit) -> Hypothesis | None:
    """The migrations' own record does not fit the files, or one of them failed half-way."""
    revision = next((v for v in hit.match.groupdict().values() if v), "").rstrip(".,:;")
    if hit.line.startswith(("raise ", "throw ")):
        return None
    tool, command = _tool(hit)
    named = re.search(r"[Mm]igration [\"'`]?([\w./-]+)[\"'`]? failed", hit.line)
    revision = revision or (named.group(1) if named else "")
    low = hit.line.lower()
    inconsistent = re.search(r"Migration (\S+ is applied before its dependency \S+)", hit.line)
    if inconsistent:
        revision = inconsistent.group(1)
        why, fix = (
            f"its history is inconsistent: {revision}",
            f"Apply the migrations in the order of their dependencies: {revision}; correct the dependency, or record the missing one (migrate --fake) when its tables exist",
        )
        command = "python manage.py showmigrations && python manage.py migrate --fake APP NAME"
    elif hit.get("knex"):
        why, fix = (
            f"the files {revision} that were applied before are missing in this release",
            f"Ship {revision} with the release (restore and commit the file), or remove its entry from the migrations' table",
        )
    elif hit.get("rev") or hit.get("ref"):
        why, fix = (
            f"the database is at revision {revision}, which no migration file of this release has",
            f"Ship the migration file with revision {revision} in the release (it may exist on another branch), or set the database to a known version with alembic stamp",
        )
        command = "alembic history && alembic stamp head   # only when the schema really is at head"
    elif "multiple head" in low or "conflicting" in low:
        why, fix = (
            "two migrations claim to be the newest (multiple heads)",
            "Merge the two branches of migrations into one",
        )
        command = "alembic merge heads -m merge   # Django: python manage.py makemigrations --merge"
    elif "checksum" in low or "check sum" in low:
        why, fix = (
            f"the migration {revision} was changed after it had been applied (checksum mismatch)",
            f"Restore the migration file {revision} as it was applied and put the change into a new migration, or run repair when the change is harmless",
        )
        command = "flyway repair" if tool != "liquibase" else "liquibase clear-checksums"
    else:
        why, fix = (
            f"the migration {revision} failed",
            f"Correct the migration {revision}, bring the database back to the version before it, and run it again",
        )
    following = hit.document.window(hit.index, 0, 2)
    return Hypothesis(
        FailureType.MIGRATION_FAILED,
        f"The database migration fails: {why}{hit.at}: {_applied(hit)}{hit.line}{_reason(hit)}",
        0.93,
        (
            high(f"Repair the migration{' ' + revision if revision else ''}", fix, command),
            medium(
                "Try the migration on a copy first", "Run it against a restored backup before the deployment", command
            ),
        ),
        names=(revision,),
        loud=True,
        facts={"revision": revision, "context": following[:200]},
    )


@line_rule(
    "constraint-in-migration",
    "can't drop|duplicate key value|unique constraint|not null constraint|contains null values|foreign key constraint|already exists|duplicate column|duplicate entry|cannot be cast automatically|lock timeout|integrityerror|cannot add or update a child row|could not create unique index",
    r"(?:relation|table|column|index|type) [\"'`]?(?P<name>[\w.]+)[\"'`]? (?:of relation \S+ )?already exists|column \"(?P<null>\w+)\" (?:of relation \S+ )?contains null values|could not create unique index \"(?P<uniq>\w+)\"|Duplicate column name '(?P<dup>\w+)'|Cannot add foreign key constraint|cannot be cast automatically|duplicate key value violates unique constraint \"(?P<key>[^\"]+)\"|Cannot add or update a child row|Can't DROP '(?P<drop>[^']+)'|canceling statement due to lock timeout",
    source="SQL states 42P07, 23502, 23505, 42701, 55P03",
)
def constraint(hit: Hit) -> Hypothesis | None:
    """A migration's statement that the data or the schema does not allow."""
    around = hit.document.lower[:300_000]
    if not re.search(
        r"migrat|applying \w+\.\d{4}|alembic|flyway|liquibase|alter table|create (?:table|index|unique)|upgrade", around
    ):
        return None
    name = next((v for v in hit.match.groupdict().values() if v), "")
    _, command = _tool(hit)
    return Hypothesis(
        FailureType.MIGRATION_FAILED,
        f"A migration statement is refused by the database{f' ({name})' if name else ''}{hit.at}: {_applied(hit)}{hit.line}",
        0.86,
        (
            high(
                "Run the migration again without the lock",
                "Another session holds a lock on the table: end (terminate) that transaction or session, or retry off-peak with a lock_timeout and several attempts",
                "SELECT pid, query FROM pg_stat_activity WHERE state <> 'idle';  -- then pg_terminate_backend(pid)",
            )
            if "lock" in hit.line.lower()
            else high(
                f"Correct the migration for {name}",
                f"Make the migration fit the data: clean up duplicates or nulls, add a default first, or skip what exists already ({name})",
                command,
            ),
        ),
        names=(name,),
    )


_MIGRATION_NAME = re.compile(
    r"\b(V\d+(?:[._]\d+)*__[\w.-]+?(?:\.sql)?|(?:db/migrate|migrations?|versions|changelog|changesets?)/[\w./-]+|\d{3,14}[_-][a-z][\w-]+(?:\.(?:sql|py|rb|js|ts|php|exs))?|[\w./-]+\.(?:xml|ya?ml|sql)::[\w-]+::\w+)\b"
)


def _applied(hit: Hit) -> str:
    """The migration that was being applied, as the lines around name it."""
    for text in (hit.line, hit.document.window(hit.index, 0, 12), hit.document.window(hit.index, 60, 0)):
        found = _MIGRATION_NAME.findall(text)
        if found:
            return f"migration {found[-1] if text.startswith(hit.document.lines[max(hit.index - 60, 0)]) and text != hit.line else found[0]}: "
    for index in range(hit.index, max(hit.index - 60, -1), -1):
        match = re.search(
            r"(?:appl(?:y|ying|ied)|running|migrating|upgrade|executing)[ :]+(?:migration )?[\"'`]?([\w./-]*\d[\w./-]*)",
            hit.document.lines[index],
            re.IGNORECASE,
        )
        if match:
            return f"migration {match.group(1)}: "
    return ""


def _reason(hit: Hit) -> str:
    """What the database said about it, in the lines below (or above) the tool's own."""
    for index in (
        *range(hit.index + 1, min(hit.index + 12, len(hit.document.lines))),
        *range(hit.index - 1, max(hit.index - 8, -1), -1),
    ):
        match = re.search(
            r"((?:ERROR|[Ee]rror(?! Code)|Reason|Message|DETAIL|SQLSTATE|PG::\w+|Caused by|Migration checksum|-> |Detected)[:\s].{5,200})",
            hit.document.lines[index],
        )
        if match and match.group(1)[:60] not in hit.line:
            return f"; {' '.join(match.group(1).split())[:200]}"
    return ""
