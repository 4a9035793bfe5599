"""The HTTP session for Yahoo: curl_cffi's session, which also keeps the last response of each thread."""

import threading
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from curl_cffi import CurlOpt, requests
from curl_cffi.requests.session import HttpMethod

from stock_assets.sources.yahoo.errors import HttpAnswer
from stock_assets.sources.yahoo.events import drop_unusable_events


class YahooSession(requests.Session[requests.Response]):
    """A session for yfinance, whose exceptions don't contain the response. Each thread has its own connections."""

    def __init__(
        self,
        proxy: str | None = None,
        ca_file: Path | None = None,
        curl_options: Mapping[CurlOpt, object] | None = None,
    ) -> None:
        """Without `proxy` the environment's is used, without `ca_file` the certificates that the machine trusts."""
        verify = True if ca_file is None else str(ca_file)
        options = dict(curl_options or {})
        super().__init__(impersonate="chrome", proxy=proxy, verify=verify, curl_options=options)  # type: ignore[arg-type]
        self._local = threading.local()

    @property
    def last_answer(self) -> HttpAnswer | None:
        """The response to this thread's last request for data; None if there was none since `clear_last_answer`."""
        answer: HttpAnswer | None = getattr(self._local, "answer", None)
        return answer

    def clear_last_answer(self) -> None:
        """Delete this thread's last response, before another request."""
        self._local.answer = None

    def request(self, method: HttpMethod, url: str, *arguments: object, **options: object) -> requests.Response:
        """curl_cffi's `request`, with the same arguments; unusable splits and dividends are dropped from its answer."""
        is_data = "/finance/" in urlsplit(url).path  # cookies, crumb and consent have other paths
        if is_data:
            self.clear_last_answer()
        response: requests.Response = super().request(method, url, *arguments, **options)  # type: ignore[arg-type]
        if is_data:
            begin = response.content[:100].lstrip().lower()
            is_page = begin.startswith((b"<!doctype", b"<html"))
            response.content, left_out = drop_unusable_events(response.content)
            self._local.answer = HttpAnswer(response.status_code, is_page, left_out)
        return response
