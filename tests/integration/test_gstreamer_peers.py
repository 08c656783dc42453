"""GStreamer's webrtcbin as publisher and as viewer, a foreign peer behind our WHIP and WHEP.

Debian: gstreamer1.0-plugins-bad, gstreamer1.0-nice, gir1.2-gst-plugins-bad-1.0, python3-gi. Its own whipsink and
whepsrc elements are in no package of Debian 12; what they would say to us is this, the HTTP around it aside.
"""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest

from hub.domain.clock import system_clock
from hub.media.peer.server import PeerServer
from hub.media.stream import Stream
from tests.integration.media_kit import feeding

PYTHON = "/usr/bin/python3"
PEER = """
import json, sys, gi
gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0"); gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC
Gst.init(None)
def say(**what):
    print(json.dumps(what), flush=True)
sends, kind = sys.argv[1] == "send", sys.argv[2]
caps = {
    "h264": "application/x-rtp,media=video,encoding-name=H264,payload=96,clock-rate=90000,"
            "packetization-mode=(string)1,profile-level-id=(string)42e01f",
    "vp8": "application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate=90000",
}[kind]
if sends:
    pipeline = Gst.parse_launch(
        "webrtcbin name=rtc bundle-policy=max-bundle videotestsrc is-live=true ! "
        "video/x-raw,width=320,height=240,framerate=25/1 ! vp8enc deadline=1 keyframe-max-dist=25 ! "
        "rtpvp8pay picture-id-mode=1 pt=96 ! " + caps + " ! rtc.")  # ids of 7 bits
    rtc = pipeline.get_by_name("rtc")
else:
    pipeline, rtc = Gst.Pipeline(), Gst.ElementFactory.make("webrtcbin", "rtc")
    rtc.set_property("bundle-policy", "max-bundle")
    pipeline.add(rtc)
    direction = GstWebRTC.WebRTCRTPTransceiverDirection.RECVONLY
    rtc.emit("add-transceiver", direction, Gst.Caps.from_string(caps))
count = [0]
def counted(pad, info):
    count[0] += 1
    if count[0] % 25 == 1:
        say(pictures=count[0])
    return Gst.PadProbeReturn.OK
def appeared(element, pad):
    if pad.get_direction() != Gst.PadDirection.SRC:
        return
    parts = Gst.parse_bin_from_description(
        {"h264": "rtph264depay ! h264parse ! video/x-h264,alignment=au", "vp8": "rtpvp8depay ! vp8dec"}[kind]
        + " ! fakesink name=end sync=false", True)
    pipeline.add(parts); parts.sync_state_with_parent()
    parts.get_by_name("end").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, counted)
    pad.link(parts.get_static_pad("sink"))
rtc.connect("pad-added", appeared)
def gathered(element, _):
    if rtc.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
        say(offer=rtc.get_property("local-description").sdp.as_text())
rtc.connect("notify::ice-gathering-state", gathered)
rtc.connect("notify::connection-state", lambda e, _: say(state=rtc.get_property("connection-state").value_nick))
def offered(promise, _):
    promise.wait()
    reply = promise.get_reply()  # the offer lies within it
    made = reply.get_value("offer")
    done = Gst.Promise.new()
    rtc.emit("set-local-description", made, done)
    done.interrupt()
def wanted(element):
    rtc.emit("create-offer", None, Gst.Promise.new_with_change_func(offered, None))
rtc.connect("on-negotiation-needed", wanted)
pipeline.set_state(Gst.State.PLAYING)
def answered(channel, condition):
    line = sys.stdin.readline()
    if not line:
        loop.quit()
        return False
    _, sdp = GstSdp.SDPMessage.new_from_text(json.loads(line)["answer"])
    rtc.emit("set-remote-description", GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp),
             Gst.Promise.new())
    return True
loop = GLib.MainLoop()
GLib.io_add_watch(sys.stdin, GLib.IO_IN | GLib.IO_HUP, answered)
loop.run()
pipeline.set_state(Gst.State.NULL)
"""
NEEDED = """
import gi
gi.require_version("Gst", "1.0"); gi.require_version("GstWebRTC", "1.0"); gi.require_version("GstSdp", "1.0")
from gi.repository import Gst
Gst.init(None)
needed = "webrtcbin", "nicesrc", "dtlsenc", "srtpenc", "vp8enc", "vp8dec", "h264parse", "rtpvp8pay"
missing = [name for name in needed if not Gst.ElementFactory.find(name)]
assert not missing, missing
"""


def missing() -> str:
    """What of GStreamer is not there; empty when all is."""
    try:
        done = subprocess.run([PYTHON, "-c", NEEDED], capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        return str(error)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


REASON = missing()
pytestmark = pytest.mark.skipif(bool(REASON), reason=f"GStreamer's webrtcbin is not installed: {REASON}")


class Peer:
    """One webrtcbin in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def until(self, key: str, least: int = 0) -> Any:
        """What it says next of that name; a number not before it is so large."""
        assert self._process.stdout is not None
        async with asyncio.timeout(30):
            while line := await self._process.stdout.readline():
                said = json.loads(line)
                if key in said and (not least or said[key] >= least):
                    return said[key]
        raise AssertionError("GStreamer ended")

    def answer(self, sdp: str) -> None:
        """Give it the answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"answer": sdp}).encode() + b"\n")


@contextlib.asynccontextmanager
async def webrtcbin(way: str, codec: str) -> AsyncIterator[Peer]:
    """Run it until left."""
    process = await asyncio.create_subprocess_exec(
        PYTHON, "-c", PEER, way, codec, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield Peer(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(60):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[PeerServer]:
    """A relay's peers; by address, for libnice leaves the loopback out."""
    server = await PeerServer.open("0.0.0.0", 0, announce=["0.0.0.0"])
    try:
        yield server
    finally:
        await server.close()


def clean(server: PeerServer) -> None:
    """Nothing was out of order."""
    assert server.counters["srtp_bad"] == server.counters["malformed"] == server.counters["internal_errors"] == 0


async def test_gstreamer_watches_h264() -> None:
    stream = Stream("cam-1", clock=system_clock, expects=("h264",))
    async with serving() as server, feeding(stream), webrtcbin("receive", "h264") as peer:
        answer = await server.whep(stream, await peer.until("offer"), owner="u-1")
        peer.answer(answer.sdp)
        assert await peer.until("pictures", 50) >= 50
        clean(server)


async def test_gstreamer_publishes_vp8_with_short_picture_ids_and_another_one_decodes_it() -> None:
    stream = Stream("body-1", clock=system_clock)
    async with serving() as server, webrtcbin("send", "vp8") as camera, webrtcbin("receive", "vp8") as screen:
        camera.answer((await server.whip(stream, await camera.until("offer"), owner="u-1")).sdp)
        screen.answer((await server.whep(stream, await screen.until("offer"), owner="u-2")).sdp)
        assert await screen.until("pictures", 50) >= 50
        newest = stream.tracks["video"].get(stream.tracks["video"].head)
        assert newest is not None
        assert newest.vp8 is not None
        assert newest.vp8.narrow
        clean(server)
