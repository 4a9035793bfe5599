"""`stocks watchlist`: the symbols that are fetched from Yahoo, changed while the platform runs."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from infra.cli.console import answers, errors, plain_errors
from infra.host.errors import Exit, StackError
from infra.settings import RunningStackSettings
from infra.stack import state
from spark_streaming.contract.schema import Source

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from stock_assets.settings import CodeLocationSettings

app = typer.Typer(
    help="The symbols that are fetched from Yahoo. A change takes effect within a minute, history included.",
    no_args_is_help=True,
)

_PATIENCE_SECONDS = 10  # how long a command waits for the rate limiter

_Symbols = Annotated[list[str], typer.Argument(help="As AAPL, SAP.DE, BTC-USD.")]


@app.command("list")
def show() -> None:
    """List the symbols, one a line."""
    with plain_errors():
        engine, _ = _running()
        from stock_assets.store.watchlist import read_watchlist

        for symbol in read_watchlist(engine):
            answers.print(symbol, markup=False)


@app.command()
def add(
    symbols: _Symbols,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Don't ask Yahoo whether they exist.")] = False,
) -> None:
    """Watch symbols, from their history on."""
    with plain_errors():
        engine, settings = _running()
        from stock_assets.store.watchlist import add_to_watchlist

        for symbol in symbols:
            _require_calendar(symbol)
            if not unchecked:
                _require_known(symbol, settings)
            outcome = "watched now" if add_to_watchlist(engine, symbol) else "was watched already"
            answers.print(f"{symbol} {outcome}.", markup=False)


@app.command()
def remove(symbols: _Symbols) -> None:
    """Stop watching symbols; what is stored of them stays."""
    with plain_errors():
        engine, _ = _running()
        from stock_assets.store.watchlist import remove_from_watchlist

        for symbol in symbols:
            if not remove_from_watchlist(engine, symbol):
                raise StackError(f"{symbol} is not watched; `stocks watchlist list` shows what is", Exit.USAGE)
            answers.print(f"{symbol} is no longer watched.", markup=False)


def _running() -> "tuple[Engine, CodeLocationSettings]":
    home = RunningStackSettings().stocks_home
    if not state.is_up(home):
        raise StackError(f"nothing runs for {home}: start it with `stocks up`, and try again", Exit.FAILED)
    from stock_assets.settings import code_location
    from stock_assets.store.engine import make_engine

    settings = code_location()
    if settings.source is not Source.YAHOO:
        raise StackError(f"the source is {settings.source}: only yahoo has a watchlist", Exit.USAGE)
    return make_engine(settings.postgres), settings


def _require_calendar(symbol: str) -> None:
    from stock_assets.market.symbols import exchange_of

    try:
        exchange_of(symbol)
    except ValueError as error:
        raise StackError(str(error), Exit.USAGE) from None


def _require_known(symbol: str, settings: "CodeLocationSettings") -> None:
    from stock_assets.sources.factory import make_rate_limiter, make_yahoo_client
    from stock_assets.sources.yahoo.errors import YahooError

    rate_limiter = make_rate_limiter(settings)
    while (pause := rate_limiter.try_acquire()) > 0:
        if pause > _PATIENCE_SECONDS:
            raise StackError(
                f"Requests to Yahoo are rate-limited for {pause:.0f} s more. Wait, or add {symbol} with --unchecked",
                Exit.FAILED,
            )
        time.sleep(pause)
    try:
        with errors.status(f"asking Yahoo for {symbol}"):
            found = make_yahoo_client(settings).search(symbol)
    except YahooError as error:
        raise StackError(
            f"Yahoo could not be asked for {symbol}: {error}. Add it with --unchecked", Exit.FAILED
        ) from None
    if not found or found[0][0] != symbol:
        nearest = ", ".join(f"{other} ({name})" for other, name in found[:5]) or "nothing like it"
        raise StackError(f"Yahoo knows no symbol {symbol}. Nearest: {nearest}", Exit.USAGE)
