"""Operation of the pipeline: the services that `up` runs, the status of everything, and the checks of the setup."""
