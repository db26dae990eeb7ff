"""Fault campaign: random interruptions of a year's load of 15 symbols, and checks after one undisturbed run.

`scenarios` draws the interruptions, `stage` has the servers, `play` runs a scenario, `checks` compares the results,
`trial` does all of it for one scenario, and `campaign` is the command.
"""
