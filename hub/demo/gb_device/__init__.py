"""A simulated GB/T 28181 device: registers, shows channels, streams real PS, obeys PTZ, and misbehaves when told to.

``camera``, ``library``, ``answers`` and ``player`` are pure; ``device`` puts them on SIP, ``outlets`` on sockets,
``fleet`` makes many.
"""
