"""What an exception of a server's client means for a person: which server, and what can be done."""

import psycopg2
import requests
import sqlalchemy.exc
from alembic.util.exc import CommandError
from kafka.errors import KafkaError

from infra.host.errors import Exit, StackError

_UNDEFINED = ("42P01", "42703", "3F000")  # PostgreSQL's codes for a missing table, column and schema


def server_error(error: Exception) -> StackError | None:
    """Convert an exception of a client to an error with an exit code; None if users can do nothing about it."""
    if isinstance(error, CommandError) and "Can't locate revision" in str(error):
        return StackError(
            f"The tables in PostgreSQL were made by a newer version of stocks ({error}). Use that version, or name "
            "another folder by STOCKS_HOME.",
            Exit.OTHER_VERSION,
        )
    if isinstance(error, sqlalchemy.exc.DBAPIError) and (code := _code(error)) in _UNDEFINED:
        reason = str(error.orig).splitlines()[0]
        return StackError(
            f"The tables in PostgreSQL are not those of this version of stocks ({code}: {reason}). `stocks up` brings "
            "older ones up to date.",
            Exit.OTHER_VERSION,
        )
    if isinstance(error, sqlalchemy.exc.OperationalError | psycopg2.OperationalError):
        reason = str(getattr(error, "orig", error)).strip()
        return StackError(f"PostgreSQL can't be used: does `stocks up` run?\n{reason}", Exit.SERVICE_FAILED)
    if isinstance(error, KafkaError):
        return StackError(f"Kafka can't be used: does `stocks up` run?\n{error}", Exit.SERVICE_FAILED)
    if isinstance(error, requests.RequestException):
        return StackError(f"A server does not answer: does `stocks up` run?\n{error}", Exit.SERVICE_FAILED)
    return None


def _code(error: sqlalchemy.exc.DBAPIError) -> str:
    return getattr(error.orig, "pgcode", None) or ""
