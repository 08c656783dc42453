"""The gateway process: SIP and GB/T 28181 signalling. It opens no database and touches no media packet."""

from hub.gateway.process import run_gateway

__all__ = ["run_gateway"]
