"""Why a device is silent, over HTTP."""
