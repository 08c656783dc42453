"""The only room that sees sources and taps: the relay process."""

from hub.media.node.relay import run_relay

__all__ = ["run_relay"]
