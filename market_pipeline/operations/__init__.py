"""Running the whole: the programs that `up` keeps running, how everything is, and what the doctor says."""
