"""The vendor's wire format: its requests and bodies, for the sandbox and for the API's vendor dialect."""
