"""Tables under PostgREST's conventions, for its clients: its parameters, headers, responses and errors."""
