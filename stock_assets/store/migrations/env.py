"""Alembic's entry: runs the migrations on the connection that `migrate` hands over."""

from alembic import context

from stock_assets.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table_schema=context.config.attributes["schema"],
)
with context.begin_transaction():
    context.run_migrations()
