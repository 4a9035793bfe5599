"""`stocks grafana`: the dashboards, datasources and alerts for a Grafana that is installed already."""

from typing import Annotated

import typer

from infra.cli.console import answers, errors, plain_errors
from infra.host.errors import Exit, StackError
from infra.settings import RunningStackSettings

app = typer.Typer(help="Grafana: dashboards, datasources and alerts.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keep the verb in the command although there is only one."""


@app.command("provision", hidden=True)  # its former name
@app.command("install")
def install(
    url: Annotated[str | None, typer.Option(help="As http://127.0.0.1:3000; default: GRAFANA_URL.")] = None,
    token: Annotated[
        str | None, typer.Option(help="Of a service account with the role Admin; default: GRAFANA_TOKEN.")
    ] = None,
) -> None:
    """Install the dashboards, datasources and alert rules in a running Grafana, or update them.

    Nothing else there is touched. The databases are those of the source in use, by accounts that can only read.
    """
    with plain_errors():
        from infra.grafana.api import Grafana
        from infra.grafana.values import secrets_of, variables_of

        settings = RunningStackSettings()
        url = url or settings.grafana_url
        token = token or (settings.grafana_token.get_secret_value() if settings.grafana_token else None)
        if not url or not token:
            raise StackError("--url and --token are needed, or GRAFANA_URL and GRAFANA_TOKEN in .env", Exit.USAGE)
        try:
            values = variables_of(settings) | secrets_of(settings)
        except LookupError as error:
            raise StackError(f"{error}. Start the platform once with `stocks up`, and try again", Exit.FAILED) from None
        grafana = Grafana(url, token)
        for line in grafana.install(values):
            answers.print(line, markup=False)
        if problems := list(grafana.unreachable(values)):
            for problem in problems:
                errors.print(problem, style="red", markup=False)
            raise StackError(
                "All is there, but Grafana can't ask the databases: does `stocks up` run, and on the same machine?",
                Exit.SERVICE_FAILED,
            )
