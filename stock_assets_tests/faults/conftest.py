"""The stream's program, as its own tests start it."""

from stock_assets_tests.spark_streaming.conftest import launcher

__all__ = ["launcher"]
