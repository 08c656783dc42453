"""The first shape of the database."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


ACTIVE = sa.text("state = 'active'")


def upgrade() -> None:

    op.create_table(
        "drill_runs",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("scenario", sa.String(length=80), nullable=False),
        sa.Column("scenario_text", sa.Text(), nullable=False),
        sa.Column("rubric_text", sa.Text(), nullable=False),
        sa.Column("scenario_sha256", sa.String(length=64), nullable=False),
        sa.Column("rubric_sha256", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("planned_at", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.String(length=40), nullable=False),
        sa.Column("by_name", sa.String(length=80), nullable=False),
        sa.Column("units", sa.JSON(), nullable=False),
        sa.Column("injects", sa.JSON(), nullable=False),
        sa.Column("incident", sa.String(length=40), nullable=True),
        sa.Column("points", sa.String(length=20), nullable=True),
        sa.Column("of", sa.String(length=20), nullable=True),
        sa.Column("sheet_sha256", sa.String(length=64), nullable=True),
        sa.Column("sheet_json", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill_runs")),
    )
    op.create_index(op.f("ix_drill_runs_state"), "drill_runs", ["state"], unique=False)
    op.create_table(
        "drill_scenarios",
        sa.Column("id", sa.String(length=80), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("rubric", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("units", sa.JSON(), nullable=False),
        sa.Column("injects", sa.Integer(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("added_at", sa.BigInteger(), nullable=False),
        sa.Column("added_by", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drill_scenarios")),
    )
    op.create_table(
        "log",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("incident", sa.String(length=40), nullable=True),
        sa.Column("run", sa.String(length=40), nullable=True),
        sa.Column("alg", sa.String(length=20), nullable=False),
        sa.Column("payload_hash", sa.String(length=128), nullable=False),
        sa.Column("prev", sa.String(length=128), nullable=False),
        sa.Column("hash", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_log")),
    )
    op.create_index(op.f("ix_log_incident"), "log", ["incident"], unique=False)
    op.create_index(op.f("ix_log_kind"), "log", ["kind"], unique=False)
    op.create_index(op.f("ix_log_ref"), "log", ["ref"], unique=False)
    op.create_index(op.f("ix_log_run"), "log", ["run"], unique=False)
    op.create_index(op.f("ix_log_unit"), "log", ["unit"], unique=False)
    op.create_table(
        "log_head",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_head")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(length=60), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("ref", sa.String(length=80), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
    )
    op.create_table(
        "units",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("parent", sa.String(length=40), nullable=True),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("name_en", sa.String(length=80), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["parent"], ["units.id"], name=op.f("fk_units_parent")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_units")),
    )
    op.create_table(
        "cameras",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("name_en", sa.String(length=80), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name=op.f("fk_cameras_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_cameras")),
    )
    op.create_index(op.f("ix_cameras_name_id"), "cameras", ["name", "id"], unique=False)
    op.create_index(op.f("ix_cameras_unit"), "cameras", ["unit"], unique=False)
    op.create_table(
        "incidents",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.String(length=40), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.String(length=40), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("run", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name=op.f("fk_incidents_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_index(op.f("ix_incidents_opened_at_id"), "incidents", ["opened_at", "id"], unique=False)
    op.create_index(op.f("ix_incidents_run"), "incidents", ["run"], unique=False)
    op.create_index(op.f("ix_incidents_unit"), "incidents", ["unit"], unique=False)
    op.create_table(
        "log_payloads",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False),
        sa.Column("salt", sa.String(length=64), nullable=True),
        sa.Column("data", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["seq"], ["log.seq"], name=op.f("fk_log_payloads_seq")),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_log_payloads")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("username", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("role", sa.String(length=20), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("password_hash", sa.String(length=200), nullable=False),
        sa.Column("demo", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name=op.f("fk_users_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("username", name=op.f("uq_users_username")),
    )
    op.create_index(op.f("ix_users_unit"), "users", ["unit"], unique=False)
    op.create_table(
        "conferences",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("title", sa.String(length=80), nullable=False),
        sa.Column("incident", sa.String(length=40), nullable=True),
        sa.Column("run", sa.String(length=40), nullable=True),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("opened_by", sa.String(length=40), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("stage", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name=op.f("fk_conferences_incident")),
        sa.ForeignKeyConstraint(["stage"], ["cameras.id"], name=op.f("fk_conferences_stage")),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name=op.f("fk_conferences_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conferences")),
    )
    op.create_index(op.f("ix_conferences_incident"), "conferences", ["incident"], unique=False)
    op.create_table(
        "incident_cameras",
        sa.Column("incident", sa.String(length=40), nullable=False),
        sa.Column("camera", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["camera"], ["cameras.id"], name=op.f("fk_incident_cameras_camera")),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name=op.f("fk_incident_cameras_incident")),
        sa.PrimaryKeyConstraint("incident", "camera", name=op.f("pk_incident_cameras")),
    )
    op.create_table(
        "orders",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("year", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("incident", sa.String(length=40), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("issued_by", sa.String(length=40), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.Column("sign_due_at", sa.BigInteger(), nullable=False),
        sa.Column("feedback_due_at", sa.BigInteger(), nullable=False),
        sa.Column("signed_at", sa.BigInteger(), nullable=True),
        sa.Column("feedback_at", sa.BigInteger(), nullable=True),
        sa.Column("sign_overdue", sa.Boolean(), nullable=False),
        sa.Column("feedback_overdue", sa.Boolean(), nullable=False),
        sa.Column("run", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name=op.f("fk_orders_incident")),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name=op.f("fk_orders_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_orders")),
        sa.UniqueConstraint("year", "number", name=op.f("uq_orders_year_number")),
    )
    op.create_index(op.f("ix_orders_incident"), "orders", ["incident"], unique=False)
    op.create_index(op.f("ix_orders_issued_at_id"), "orders", ["issued_at", "id"], unique=False)
    op.create_index(op.f("ix_orders_state"), "orders", ["state"], unique=False)
    op.create_index(op.f("ix_orders_unit"), "orders", ["unit"], unique=False)
    op.create_table(
        "rules",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("camera", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("params", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["camera"], ["cameras.id"], name=op.f("fk_rules_camera")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rules")),
    )
    op.create_index(op.f("ix_rules_camera"), "rules", ["camera"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=40), nullable=False),
        sa.Column("method", sa.String(length=20), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name=op.f("fk_sessions_user")),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_sessions_user"), "sessions", ["user"], unique=False)
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("camera", sa.String(length=40), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("rule", sa.String(length=40), nullable=False),
        sa.Column("severity", sa.String(length=20), nullable=False),
        sa.Column("score", sa.Double(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("repeats", sa.Integer(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("handled_by", sa.String(length=40), nullable=True),
        sa.Column("handled_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("boxes", sa.JSON(), nullable=False),
        sa.Column("picture", sa.String(length=64), nullable=True),
        sa.Column("model", sa.String(length=80), nullable=False),
        sa.Column("demonstration", sa.Boolean(), nullable=False),
        sa.Column("incident", sa.String(length=40), nullable=True),
        sa.Column("run", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["camera"], ["cameras.id"], name=op.f("fk_alerts_camera")),
        sa.ForeignKeyConstraint(["incident"], ["incidents.id"], name=op.f("fk_alerts_incident")),
        sa.ForeignKeyConstraint(["rule"], ["rules.id"], name=op.f("fk_alerts_rule")),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name=op.f("fk_alerts_unit")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alerts")),
    )
    op.create_index(op.f("ix_alerts_camera"), "alerts", ["camera"], unique=False)
    op.create_index(op.f("ix_alerts_incident"), "alerts", ["incident"], unique=False)
    op.create_index(op.f("ix_alerts_raised_at_id"), "alerts", ["raised_at", "id"], unique=False)
    op.create_index(op.f("ix_alerts_unit"), "alerts", ["unit"], unique=False)
    op.create_index("uq_alerts_active", "alerts", ["rule"], unique=True, sqlite_where=ACTIVE, postgresql_where=ACTIVE)
    op.create_table(
        "conference_members",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("conference", sa.String(length=40), nullable=False),
        sa.Column("unit", sa.String(length=40), nullable=False),
        sa.Column("user", sa.String(length=40), nullable=True),
        sa.Column("host", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("rung_at", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("answered_at", sa.BigInteger(), nullable=True),
        sa.Column("joined_at", sa.BigInteger(), nullable=True),
        sa.Column("left_at", sa.BigInteger(), nullable=True),
        sa.Column("audio", sa.Boolean(), nullable=False),
        sa.Column("video", sa.Boolean(), nullable=False),
        sa.Column("publishing", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["conference"], ["conferences.id"], name=op.f("fk_conference_members_conference")),
        sa.ForeignKeyConstraint(["unit"], ["units.id"], name=op.f("fk_conference_members_unit")),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name=op.f("fk_conference_members_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_conference_members")),
    )
    op.create_index(op.f("ix_conference_members_conference"), "conference_members", ["conference"], unique=False)
    op.create_index(op.f("ix_conference_members_unit"), "conference_members", ["unit"], unique=False)
    op.create_table(
        "order_feedback",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("order", sa.String(length=40), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=40), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("picture", sa.String(length=64), nullable=True),
        sa.Column("media_type", sa.String(length=20), nullable=True),
        sa.ForeignKeyConstraint(["order"], ["orders.id"], name=op.f("fk_order_feedback_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_feedback")),
    )
    op.create_index(op.f("ix_order_feedback_order"), "order_feedback", ["order"], unique=False)
    op.create_table(
        "order_steps",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("order", sa.String(length=40), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(length=40), nullable=True),
        sa.ForeignKeyConstraint(["order"], ["orders.id"], name=op.f("fk_order_steps_order")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_order_steps")),
    )
    op.create_index(op.f("ix_order_steps_order"), "order_steps", ["order"], unique=False)


def downgrade() -> None:

    op.drop_index(op.f("ix_order_steps_order"), table_name="order_steps")
    op.drop_table("order_steps")
    op.drop_index(op.f("ix_order_feedback_order"), table_name="order_feedback")
    op.drop_table("order_feedback")
    op.drop_index(op.f("ix_conference_members_unit"), table_name="conference_members")
    op.drop_index(op.f("ix_conference_members_conference"), table_name="conference_members")
    op.drop_table("conference_members")
    op.drop_index("uq_alerts_active", table_name="alerts", sqlite_where=ACTIVE, postgresql_where=ACTIVE)
    op.drop_index(op.f("ix_alerts_unit"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_raised_at_id"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_incident"), table_name="alerts")
    op.drop_index(op.f("ix_alerts_camera"), table_name="alerts")
    op.drop_table("alerts")
    op.drop_index(op.f("ix_sessions_user"), table_name="sessions")
    op.drop_index(op.f("ix_sessions_expires_at"), table_name="sessions")
    op.drop_table("sessions")
    op.drop_index(op.f("ix_rules_camera"), table_name="rules")
    op.drop_table("rules")
    op.drop_index(op.f("ix_orders_unit"), table_name="orders")
    op.drop_index(op.f("ix_orders_state"), table_name="orders")
    op.drop_index(op.f("ix_orders_issued_at_id"), table_name="orders")
    op.drop_index(op.f("ix_orders_incident"), table_name="orders")
    op.drop_table("orders")
    op.drop_table("incident_cameras")
    op.drop_index(op.f("ix_conferences_incident"), table_name="conferences")
    op.drop_table("conferences")
    op.drop_index(op.f("ix_users_unit"), table_name="users")
    op.drop_table("users")
    op.drop_table("log_payloads")
    op.drop_index(op.f("ix_incidents_unit"), table_name="incidents")
    op.drop_index(op.f("ix_incidents_run"), table_name="incidents")
    op.drop_index(op.f("ix_incidents_opened_at_id"), table_name="incidents")
    op.drop_table("incidents")
    op.drop_index(op.f("ix_cameras_unit"), table_name="cameras")
    op.drop_index(op.f("ix_cameras_name_id"), table_name="cameras")
    op.drop_table("cameras")
    op.drop_table("units")
    op.drop_table("outbox")
    op.drop_table("log_head")
    op.drop_index(op.f("ix_log_unit"), table_name="log")
    op.drop_index(op.f("ix_log_run"), table_name="log")
    op.drop_index(op.f("ix_log_ref"), table_name="log")
    op.drop_index(op.f("ix_log_kind"), table_name="log")
    op.drop_index(op.f("ix_log_incident"), table_name="log")
    op.drop_table("log")
    op.drop_table("drill_scenarios")
    op.drop_index(op.f("ix_drill_runs_state"), table_name="drill_runs")
    op.drop_table("drill_runs")
