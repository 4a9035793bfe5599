"""Classifies Yahoo's answers and failures: yfinance's exceptions alone do not tell them apart. Pure."""

import json
from dataclasses import dataclass
from enum import StrEnum

from curl_cffi.requests import exceptions
from yfinance.exceptions import YFPricesMissingError, YFRateLimitError, YFTzMissingError

from stock_assets.pipeline.coverage import UNKNOWN_SYMBOL
from stock_assets.sources.base import SourceError

_LONGEST_MESSAGE = 500


class AnswerKind(StrEnum):
    """The kind of an answer, by which it is counted."""

    OK = "ok"
    NO_BARS = "no bars"  # a normal answer: trading is halted, or the symbol is rarely traded
    EMPTY = "empty answer"  # though there are bars of that time
    UNKNOWN_SYMBOL = UNKNOWN_SYMBOL
    RATE_LIMITED = "rate limited"
    REFUSED_CRUMB = "refused crumb"
    PAGE = "page instead of data"
    BROKEN_JSON = "broken JSON"
    TIMED_OUT = "timed out"
    SERVER_ERROR = "server error"
    NOT_REACHABLE = "not reachable"
    BROKEN = "broken answer"  # data that can't be parsed or used


class YahooError(SourceError):
    """Yahoo gave no usable answer; `kind` is the kind of failure."""

    def __init__(self, kind: AnswerKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response."""

    status: int
    is_page: bool  # an HTML page
    left_out: tuple[str, ...] = ()  # unusable splits and dividends


def classify_error(error: Exception, answer: HttpAnswer | None, symbol: str) -> YahooError:
    """Convert `error`, which a request for `symbol` raised, to a YahooError; `answer` is the last response."""
    if isinstance(error, YahooError):
        return error
    kind = _classify(error, answer)
    if kind is AnswerKind.UNKNOWN_SYMBOL:
        return unknown_symbol(symbol)
    if kind is AnswerKind.RATE_LIMITED:
        return YahooError(kind, "Yahoo rate-limits requests (status 429)")
    status = f", status {answer.status}" if answer else ""
    message = storable_text(f"{type(error).__name__}: {error}")
    if len(message) > _LONGEST_MESSAGE:  # pandas and yfinance may quote the whole answer
        message = f"{message[:_LONGEST_MESSAGE]}…"
    return YahooError(kind, f"{symbol}: {message}{status}")


def unknown_symbol(symbol: str) -> YahooError:
    """Return the error for a symbol that Yahoo doesn't know."""
    return YahooError(
        AnswerKind.UNKNOWN_SYMBOL,
        f"Yahoo does not know the symbol {symbol} (any more); look it up on finance.yahoo.com",
    )


def storable_text(text: str) -> str:
    """`text` without characters that PostgreSQL rejects: NUL, and halves of surrogate pairs."""
    return text.replace("\0", "").encode(errors="replace").decode()


def _classify(error: Exception, answer: HttpAnswer | None) -> AnswerKind:
    if isinstance(error, YFRateLimitError) or (answer and answer.status == 429):
        return AnswerKind.RATE_LIMITED
    if isinstance(error, exceptions.Timeout | TimeoutError):
        return AnswerKind.TIMED_OUT
    if answer is None:
        return AnswerKind.NOT_REACHABLE if isinstance(error, OSError) else AnswerKind.BROKEN
    if answer.status in (401, 403):
        return AnswerKind.REFUSED_CRUMB
    if answer.status >= 500:
        return AnswerKind.SERVER_ERROR
    if answer.is_page:
        return AnswerKind.PAGE
    if isinstance(error, YFTzMissingError) or answer.status == 404 or _says_unknown(error):
        return AnswerKind.UNKNOWN_SYMBOL
    return AnswerKind.BROKEN_JSON if isinstance(error, json.JSONDecodeError) else AnswerKind.BROKEN


def _says_unknown(error: Exception) -> bool:
    reason = error.yahoo_reason if isinstance(error, YFPricesMissingError) else None
    return reason is not None and any(word in reason.lower() for word in ("delisted", "not found", "no data found"))
