"""The fault campaign: random interruptions of a year's load of 15 symbols, and what must hold after one quiet run.

`scenarios` says what happens, `stage` is where, `play` makes it happen, `checks` looks at what is left, `campaign` is
the command.
"""
