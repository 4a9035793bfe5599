"""How Yahoo may answer, and how its refusals are told apart: what yfinance raises says too little. Pure."""

import json
from dataclasses import dataclass
from enum import StrEnum

from curl_cffi.requests import exceptions
from yfinance.exceptions import YFPricesMissingError, YFRateLimitError, YFTzMissingError

from stock_assets.pipeline.coverage import UNKNOWN_SYMBOL
from stock_assets.sources.base import SourceError


class AnswerKind(StrEnum):
    """What an answer is counted as."""

    OK = "ok"
    NO_BARS = "no bars"  # and that may well be: a halt, or a thin symbol
    EMPTY = "empty answer"  # of a time in which there are bars
    UNKNOWN_SYMBOL = UNKNOWN_SYMBOL
    RATE_LIMITED = "rate limited"
    REFUSED_CRUMB = "refused crumb"
    PAGE = "page instead of data"
    BROKEN_JSON = "broken JSON"
    TIMED_OUT = "timed out"
    SERVER_ERROR = "server error"
    NOT_REACHABLE = "not reachable"
    BROKEN = "broken answer"  # data, but not what was asked for


class YahooError(SourceError):
    """Yahoo gave no usable answer; `kind` says in which way."""

    def __init__(self, kind: AnswerKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back over the wire."""

    status: int
    is_page: bool  # HTML


def classify_error(error: Exception, answer: HttpAnswer | None, symbol: str) -> YahooError:
    """What `error`, raised over a request for `symbol`, means, given the last answer; None: there was none."""
    if isinstance(error, YahooError):
        return error
    kind = _kind(error, answer)
    if kind is AnswerKind.UNKNOWN_SYMBOL:
        return YahooError(kind, f"Yahoo knows no symbol {symbol}, or no longer; look it up on finance.yahoo.com")
    if kind is AnswerKind.RATE_LIMITED:
        return YahooError(kind, "Yahoo wants to be asked less (429)")
    status = f", status {answer.status}" if answer else ""
    return YahooError(kind, f"{symbol}: {type(error).__name__}: {error}{status}")


def _kind(error: Exception, answer: HttpAnswer | None) -> AnswerKind:
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
