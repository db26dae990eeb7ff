"""Limits for every client of the API: sizes of requests, time to send them and to receive responses.

`docs/api.md` lists them in a table. Limits that depend on the machine or on the clients are settings.
"""

URL_BYTES = 64 * 1024
"""Of a URL: 414 above. A list of 10,000 symbols fits."""

HEADER_BYTES = 32 * 1024
"""Of all header fields of a request, names and values: 431 above."""

HEADER_FIELDS = 100
"""Of a request: 431 above."""

HEAD_SECONDS = 10.0
"""From the first byte of a request to the end of its header: 408 after. Without a first byte it is closed."""

IDLE_SECONDS = 5
"""A connection is kept open after a response, for the next request."""

ENDING_SECONDS = 2
"""For requests in progress to end once the API is stopped; then they are dropped."""

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
"""For PostgreSQL to execute a query: 503 after."""

STREAM_SECONDS = 300.0
"""For a streamed download, from its first row to its last."""

DOWNLOADS, DOWNLOADS_OF_ONE = 4, 3
"""Streamed downloads at once: in total, and of one address, so that no client takes all slots."""

KEPT_FILES, KEPT_FILES_OF_ONE = 32, 8
"""Files kept for clients that read them by parts: in total, and for one address."""

KEPT_FILE_BYTES, KEPT_BYTES = 256 * 1024**2, 1024**3
"""Of a kept file, above which it has no parts; of all of them, in the folder for temporary files (TMPDIR)."""

KEPT_SECONDS, KEPT_FRESH_SECONDS = 600, 10
"""Since a kept file was used, after which it is removed; since it was built, after which HEAD builds it again."""

DOWNLOAD_WAIT = 30.0
"""Seconds that a download waits for a slot: 503 after."""
