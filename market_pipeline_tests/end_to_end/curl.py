"""Replacement for `curl`, which a machine may lack: as a program it prints the response, as curl does."""

import sys
from collections.abc import Sequence
from itertools import pairwise

import requests


def fetched(words: Sequence[str]) -> str:
    """Return the body of the response to curl's arguments: a URL, -X, -H and -d."""
    options = list(pairwise(words))
    headers = dict(value.split(": ", 1) for option, value in options if option == "-H")
    method = next((value for option, value in options if option == "-X"), "GET")
    body = next((value for option, value in options if option == "-d"), None)
    [address] = [word for word in words if word.startswith("http")]
    return requests.request(method, address, headers=headers, data=body, timeout=60).text


if __name__ == "__main__":
    sys.stdout.write(fetched(sys.argv[1:]))
