"""Migrations that meet data, other migrations or other sessions: violated constraints, drift, order, locks, plain SQL errors."""

from __future__ import annotations

import re

from failback.diagnosis.recommend import high, medium
from failback.diagnosis.rule import Hit, Hypothesis, line_rule
from failback.diagnosis.table import row
from failback.model.diagnosis import FailureType

_MIGRATION = FailureType.MIGRATION_FAILED
_STEP = re.compile(r"migrat|schema|\bdb\b|database|liquibase|flyway|alembic", re.IGNORECASE)
_TEXT = re.compile(
    r"migrat|alembic|flyway|liquibase|\bddl\b|alter table|create (?:table|unique index|index|unique)|changelog|new__\w+",
    re.IGNORECASE,
)


def in_migration(hit: Hit) -> bool:
    """True where the step, or what it printed, says that the schema is being changed."""
    return bool(_STEP.search(hit.scene.step_name) or _TEXT.search(hit.document.text[:300_000]))


_FILE = re.compile(r"([\w./-]*(?:migrat|changelog|versions|schema|sql)[\w./-]*\.(?:sql|py|rb|js|ts|php|xml|ya?ml|exs)|[\w./-]+\.sql)(?::(\d+))?", re.IGNORECASE)  # fmt: skip

_NAMED = re.compile(r"[Mm]igration (?:file )?[\"'`]?([\w.-]+)[\"'`]? (?:\(\w+\) )?failed")
_RUNNERS = re.compile(
    r"[/\\](?:yoyo/migrations|alembic/(?:runtime|operations|command)\w*|django/db/migrations/\w+|umzug/\S+|knex/lib/migrations/\S+|drizzle-orm/\S*migrator|db-migrate/\S+|node-pg-migrate/\S+|typeorm/migration/\S+|active_record/migration|Doctrine/Migrations|peewee_migrate|aerich)\b"
)


def _by_runner(hit: Hit) -> bool:
    """True where a migration tool's own frames are around the error."""
    return bool(_RUNNERS.search(hit.document.window(hit.index, 60, 12)))


def _file(hit: Hit) -> str:
    found = _FILE.search(hit.line) or _FILE.search(hit.document.window(hit.index, 12, 6))
    place = f"{found.group(1)}{f':{found.group(2)}' if found.group(2) else ''}" if found else ""
    named = None if place else _NAMED.search(hit.document.window(hit.index, 12, 6))
    return hit.scene.in_release(place) if place else named.group(1) if named else hit.place


@line_rule(
    "migration-meets-data",
    "constraint|duplicate|null value|contains null|cannot be null|violates|foreign key|truncated|too long|out of range|ora-0|invalid input syntax|cannot be cast|sqlstate[23|sqlstate 23|error 1|cannot insert the value null into column|could not create unique index|cannot add a not null column",
    r"(?P<unique>UNIQUE constraint failed: ?(?P<u1>[\w., ]+)|could not create unique index \"(?P<u2>[^\"]+)\"|duplicate key value violates unique constraint \"(?P<u3>[^\"]+)\"|Duplicate entry '[^']*' for key '(?P<u4>[^']+)'|duplicate key was found for the object name '(?P<u5>[^']+)'|ORA-01452|ORA-00001|ORA-02299|Duplicate key \"?(?P<u6>\w+))"
    r"|(?P<foreign>violates foreign key constraint \"(?P<f1>[^\"]+)\"|FOREIGN KEY constraint failed|a foreign key constraint fails|ALTER TABLE statement conflicted with the FOREIGN KEY constraint \"(?P<f2>[^\"]+)\"|ORA-0229[18])"
    r"|(?P<null>NOT NULL constraint failed: ?(?P<n1>[\w.]+)|column \"(?P<n2>\w+)\"(?: of relation \"\w+\")? contains null values|null value in column \"(?P<n3>\w+)\"|Column '(?P<n4>\w+)' cannot be null|Cannot insert the value NULL into column '(?P<n5>\w+)'|Cannot add a NOT NULL column|ORA-02296|ORA-01400)"
    r"|(?P<check>check constraint \"(?P<c1>[^\"]+)\"[^\n]*is violated by some row|violates check constraint \"(?P<c2>[^\"]+)\"|CHECK constraint failed: ?(?P<c3>\w*)|Check constraint '(?P<c4>[^']+)' is violated|ORA-02293)"
    r"|(?P<value>Data too long for column '(?P<v1>\w+)'|Data truncated for column '(?P<v2>\w+)'|Out of range value for column '(?P<v3>\w+)'|value too long for type [\w ]+\(\d+\)|invalid input syntax for type \w+|Truncated incorrect \w+ value|column \"(?P<v4>\w+)\" cannot be cast automatically|String or binary data would be truncated)",
    source="SQL states 23502, 23503, 23505, 23514, 22001, 42804 of SQLite, PostgreSQL, MySQL, SQL Server, Oracle",
    most=3,
)
def meets_data(hit: Hit) -> Hypothesis | None:
    """The rows that are there do not fit what the migration asks of them."""
    if not in_migration(hit) or (
        hit.document.role == "step" and hit.scene.step_type in ("test", "quality", "security")
    ):
        return None
    name = next((v.strip() for k, v in hit.match.groupdict().items() if v and k[-1].isdigit()), "")
    why, what = next(
        (why, what)
        for kind, why, what in (
            ("unique", "rows that are there hold duplicates", "Remove or merge the duplicate rows (clean up the data, deduplicate) in a step before the unique constraint is made"),
            ("foreign", "rows refer to rows that do not exist (orphans)", "Delete or repair the orphan rows that refer to a missing row, or add the foreign key as NOT VALID and validate it after the data is clean"),
            ("null", "rows hold NULL", "Fill the NULL rows first (backfill, UPDATE ... WHERE ... IS NULL), or add the column with a default or as nullable, and make it NOT NULL afterwards"),
            ("check", "rows violate the check", "Correct the rows that violate the check, or add it as NOT VALID and validate it after the data is clean"),
            ("value", "values that are there do not fit the new type", "Convert or shorten the values (USING expression, UPDATE) before the column's type or length changes"),
        )
        if hit.match.groupdict().get(kind)
    )  # fmt: skip
    file = _file(hit)
    shown = f"{name} " if name else ""
    detail = re.search(r"DETAIL: +([^\n]+)", hit.document.window(hit.index, 0, 3))
    return Hypothesis(
        _MIGRATION,
        f"The migration {file + ' ' if file else ''}does not fit the data ({shown}{next(k for k in ('unique', 'foreign', 'null', 'check', 'value') if hit.match.groupdict().get(k))} constraint): {why}{hit.at}: {hit.line}{f' ({detail.group(1)})' if detail else ''}",
        0.92 if _STEP.search(hit.scene.step_name) or "migrat" in hit.document.lower[:300_000] else 0.84,
        (
            high(f"Clean the data before the migration {file}".strip(), f"{what}{f' ({name})' if name else ''}; then run the migration again", "SELECT ... GROUP BY ... HAVING count(*) > 1;  -- or: LEFT JOIN ... WHERE ... IS NULL"),
            medium("Try migrations on a copy of the real data", "Restore the backup elsewhere and run the migration there first"),
        ),
        names=tuple(part for part in (name, file) if part),
        loud=True,
    )  # fmt: skip


_CONNECTS = re.compile(
    r"connect|refused|authentication|password|timed? ?out|could not translate|getaddrinfo|terminat|ssl|role \"|database \"|too many clients|access denied|permission denied|locked|lock timeout|lock wait|deadlock",
    re.IGNORECASE,
)


@line_rule(
    "changeset-checksum",
    "but is now",
    r"(?P<file>[\w./-]+)::(?P<id>\S+)::(?P<author>.+?) was: \S+ but is now: \S+",
    source="Liquibase's record of the changesets that were run",
    most=1,
)
def changeset(hit: Hit) -> Hypothesis | None:
    """Liquibase: a changeset was changed after it had been run."""
    file, number = hit.get("file"), hit.get("id")
    return Hypothesis(
        FailureType.MIGRATION_FAILED,
        f"The changeset {number} in {file} was changed after it had been run (its checksum differs): {hit.line}",
        0.95,
        (
            high(
                f"Bring the changeset {number} in {file} back, and add a new one",
                f"A changeset that was run must stay as it is: restore {file} and put the change into a new changeset; where only its text changed, clear its checksum (validCheckSum)",
                "liquibase clear-checksums",
            ),
        ),
        names=(file,),
        loud=True,
    )


@line_rule(
    "migration-sql-error",
    "error:|error 1|parse error|runtime error near|operationalerror|programmingerror|queryfailederror|sqlexception|databaseerror|statementinvalid|syntaxerrorexception|sequelizedatabaseerror|sqlstate|msg ",
    r"psql:(?P<f>[^:\s]+):(?P<l>\d+): ERROR: +(?P<a>[^\n]+)|^(?:mysql: )?ERROR \d{4} \(\w{5}\)(?: at line (?P<ml>\d+)(?: in file: '(?P<mf>[^']+)')?)?: (?P<b>[^\n]+)|(?:Parse|Runtime) error near line (?P<sl>\d+): (?P<c>[^\n]+)|(?:ProgrammingError|DatabaseError|QueryFailedError|SQLSyntaxErrorException|SequelizeDatabaseError|StatementInvalid|DataError|InternalError|OperationalError|PSQLException|PostgresError|SqliteError|MySqlException|SqlException)\b[:)] ?(?P<d>[^\n]+)|^ERROR: +(?P<e>[^\n]+) \(SQLSTATE \w{5}\)|SQLSTATE\[(?:42|22|23)\w{3}\]:? ?(?P<g>[^\n]+)|(?:pq|pgx|sqlite3?): (?P<h>(?:syntax error|column|relation|table|type|cannot|near)[^\n]+)|^Msg \d+, Level \d+[^\n]*",
    source="psql, mysql, sqlite3, sqlcmd and the drivers' errors in a migration step",
    most=3,
)
def sql_error(hit: Hit) -> Hypothesis | None:
    """A statement that the database refuses while a step named for migrations runs."""
    file = hit.get("f") or hit.get("mf")
    told = _STEP.search(hit.scene.step_name) or (file and _STEP.search(file)) or _by_runner(hit)
    if not told or _CONNECTS.search(hit.line):
        return None
    if hit.document.role == "step" and hit.scene.step_type in ("test", "quality", "security"):
        return None
    number = hit.get("l") or hit.get("ml") or hit.get("sl")
    shown = f"{file}:{number}" if file else _file(hit) or (f"line {number}" if number else "the migration")
    return Hypothesis(
        _MIGRATION,
        f"A statement of the migration {shown} is refused by the database: {hit.line}",
        0.8,
        (
            high(f"Correct the migration {shown}", f"Correct the statement that the database names (its syntax, the table, column or type, the order of the migrations), bring the database back to the version before, and run it again: {hit.line}"),
            medium("Try migrations on a copy first", "Run them against a restored backup, with the database's real version"),
        ),
        names=(file,) if file else (),
        loud=True,
    )  # fmt: skip


ROWS = (
    row(
        "schema-drift",
        "new upgrade operations|not yet reflected in a migration|drift detected|not in sync|pending changes|pending model changes|check mode|makemigrations|schema drift|is not up to date with|would create migration|pendingmodelchanges|unmigrated changes|changes have been made to the model since the last migration|the model for context",
        r"New upgrade operations detected: ?(?P<a>[^\n]*)|(?:models? in app\(s\): (?P<app>[^\n]*?) )?ha(?:s|ve) changes that are not yet reflected in a migration|Drift detected[^\n]*|(?:schema|database) is not in sync with[^\n]*|The model for context '(?P<ctx>[^']+)' (?:has changed|has pending changes)[^\n]*|[Uu]nexpected changes in database schema were found in check mode|schema drift[^\n]*|PendingModelChangesWarning[^\n]*|Changes have been made to the model since the last migration",
        _MIGRATION,
        "The models have changes that no migration contains (schema drift; add_column or the like is pending): {a} {app} {ctx}",
        "Create the missing migration",
        "Generate a migration from the models (alembic revision --autogenerate, makemigrations, migrate dev, dotnet ef migrations add), look at it, and commit it",
        "alembic revision --autogenerate -m 'describe the change' && alembic upgrade head",
        source="alembic check, Django, Prisma, EF Core, Doctrine, TypeORM",
        sure=0.92,
        loud=True,
    ),
    row(
        "migration-order",
        "is preceding already|before its dependency|out of order|missing migrations before|corrupt, the following files|previously applied but|resolved migration not applied|more than one migration with|no migration found for version|duplicate migration|duplicatemigration|applied migration not resolved|same version|circulardependency|ambiguous|migration name|missing (out-of-order) migrations before current version",
        r"Not run migration (?P<a>\S+) is preceding already run migration (?P<b>\S+)|Migration (?P<c>[\w.]+) is applied before its dependency (?P<d>[\w.]+)|found \d+ missing (?:\(out-of-order\) )?migrations? before current version[^\n]*|migration directory is corrupt, the following files are missing: (?P<e>[^\n]+)|migration (?P<f>\d+) was previously applied but (?P<fw>[^\n]+)|Detected resolved migration not applied to database: (?P<g>[\w.]+)|Detected applied migration not resolved locally: (?P<g2>[\w.]+)|more than one migration with version (?P<h>[\w.]+)|no migration found for version (?P<i>\d+)|DuplicateMigration(?:Name|Version)Error[^\n]*|[Dd]uplicate migration (?:version|name|file)[^\n]*|CircularDependencyError: (?P<j>[^\n]+)|migrations? (?:is|are|was|were) (?:applied |run )?out of order[^\n]*",
        _MIGRATION,
        "The migrations' order or history does not fit the database: {a} {b} {c} {d} {e} {f} {fw} {g}{g2} {h} {i} {j} (out of order, missing or applied before its dependency)",
        "Bring the migrations into one order: {a}{c}{e}{f}{g}{g2}{h}{i}",
        "Rename (renumber, new timestamp) the migration {a}{g}{h} so that it comes last, ship the migration files that the database has already applied, or correct the recorded history (fake the dependency {d}, repair, baseline) when the schema is right",
        "ls migrations/   # then: migrate up (Django: migrate --fake, Flyway: repair or -outOfOrder=true, node-pg-migrate: --no-check-order)",
        source="node-pg-migrate, Django, goose, Knex, sqlx, Flyway, golang-migrate, Rails",
        sure=0.97,
        loud=True,
    ),
)  # fmt: skip


@line_rule(
    "migration-locked",
    "already locked|log lock|lockexception|advisory lock|migration lock|lock wait timeout|database is locked|migrationlock|deadlock|lock timeout|acquire lock|acquire database lock|concurrentmigrationerror|database table is locked",
    r"(?P<own>[Mm]igration table is already locked|MigrationLocked\w*|[Cc]ould not acquire change ?log lock|advisory lock|can't acquire (?:database )?lock|ConcurrentMigrationError)|Lock wait timeout exceeded|deadlock detected|Deadlock found|database (?:table )?is locked|due to lock timeout",
    source="Knex, Liquibase, Prisma, golang-migrate, Rails; lock errors of the databases",
)
def locked(hit: Hit) -> Hypothesis | None:
    """Another migration or session holds the lock."""
    if not hit.get("own") and not _STEP.search(hit.scene.step_name):
        return None
    who = re.search(r"locked by ([^\n]+)", hit.document.window(hit.index, 0, 3), re.IGNORECASE)
    return Hypothesis(
        _MIGRATION,
        f"The migration cannot get its lock: another migration or session holds it, or an earlier one died with it{f' ({who.group(1).strip()})' if who else ''}{hit.at}: {hit.line}",
        0.9 if hit.get("own") else 0.84,
        (
            high(
                "End the session that holds the lock, or release the stale migration lock",
                "See who holds it; when no migration runs any more, release (unlock) it, otherwise terminate the long transaction or wait and retry with a lock timeout; run migrations in one place only",
                "npx knex migrate:unlock   # liquibase release-locks; SELECT pid, query FROM pg_stat_activity",
            ),
        ),
        loud=True,
    )
