"""The connections to Yahoo: curl_cffi's session, which also remembers how each thread was answered last."""

import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from curl_cffi import CurlOpt, requests
from curl_cffi.requests.session import HttpMethod

from stock_assets.sources.yahoo.errors import HttpAnswer


class YahooSession(requests.Session[requests.Response]):
    """For yfinance, whose errors don't say what came over the wire. Threads have connections of their own."""

    def __init__(
        self,
        proxy: str | None = None,
        ca_file: Path | None = None,
        curl_options: Mapping[CurlOpt, object] | None = None,
    ) -> None:
        """With a proxy, and certificates to trust, of one's own where they are named."""
        verify = True if ca_file is None else str(ca_file)
        options = dict(curl_options or {})
        super().__init__(impersonate="chrome", proxy=proxy, verify=verify, curl_options=options)  # type: ignore[arg-type]
        self._local = threading.local()

    @property
    def last_answer(self) -> HttpAnswer | None:
        """To this thread's last request for data; None while none came since `forget`."""
        answer: HttpAnswer | None = getattr(self._local, "answer", None)
        return answer

    def forget(self) -> None:
        """Begin anew: what comes now is of another question."""
        self._local.answer = None

    def request(self, method: HttpMethod, url: str, *arguments: object, **named: object) -> requests.Response:
        """As curl_cffi's, whose arguments these are."""
        is_data = "/finance/" in urlsplit(url).path  # cookies, crumb and consent have other addresses
        if is_data:
            self.forget()
        response: requests.Response = super().request(method, url, *arguments, **named)  # type: ignore[arg-type]
        if is_data:
            begin = response.content[:100].lstrip().lower()
            self._local.answer = HttpAnswer(response.status_code, begin.startswith((b"<!doctype", b"<html")))
        return response
