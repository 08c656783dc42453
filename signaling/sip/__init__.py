"""SIP (RFC 3261) without sockets: bytes and commands in, datagrams and events out.

``message`` and ``address`` read and write; ``stream`` cuts TCP; ``transaction`` holds the four machines and ``layer``
the transactions that live; ``dialog``, ``call`` and ``subscription`` are what is built on them; ``stack`` joins all.
The sockets are in ``signaling.transport.sip``, whose docstring is the manual for users.
"""
