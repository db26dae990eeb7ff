"""TradingView's datafeed protocol UDF, by which charting libraries read symbols and bars."""
