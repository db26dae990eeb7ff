"""The limits that every client of the API meets, whatever it sends, doesn't send or doesn't take.

`docs/api.md` lists them in a table. Those that depend on the machine or on the clients are settings instead.
"""

URL_BYTES = 64 * 1024
"""Of a URL: 414 above. A list of 10,000 symbols fits."""

HEADER_BYTES = 32 * 1024
"""Of all header fields of a request, names and values: 431 above."""

HEADER_FIELDS = 100
"""Of a request: 431 above."""

HEAD_SECONDS = 10.0
"""From the first byte of a request to the end of its header: 408 after. Without a first byte the door is closed."""

IDLE_SECONDS = 5
"""A connection is kept open after a response, for the next request."""

ENDING_SECONDS = 2
"""For requests under way to be answered once the API is told to stop; then they are dropped."""

PIPELINED_REQUESTS = 32
"""Sent ahead of their responses on one connection; it ends after these."""

BODY_BYTES = 64 * 1024
"""Of a body: 413 above."""

BODY_SECONDS = 10.0
"""For a body to arrive: 408 after."""

SEND_SECONDS, SEND_BYTES = 10.0, 64 * 1024
"""A client that takes less than so many bytes of its response in so many seconds is dropped."""

LINGER_SECONDS = 2.0
"""Seconds in which bytes sent after the response are read and dropped, so that the response arrives."""

QUERY_SECONDS = 15.0
"""For PostgreSQL to answer a query: 503 after."""

STREAM_SECONDS = 300.0
"""For a download of more rows than a response has that is made whole, from its first row to its last."""

DOWNLOADS, DOWNLOADS_OF_ONE = 4, 3
"""Such downloads at once: in all, and of one address, so that none takes all places."""

DOWNLOAD_WAIT = 30.0
"""Seconds that a download waits for one of these places: 503 after."""
