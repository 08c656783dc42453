"""A SIP node on asyncio: one UDP and one TCP port, ``signaling.sip.stack`` behind them. The manual for its users.

    async with SipNode(handler, NodeConfig(host="0.0.0.0", port=5060)) as node:
        message = make_request("MESSAGE", uri, from_=ours, to=theirs, body=xml, content_type="Application/MANSCDP+xml")
        answer = await node.request(message, flow)
        call = await node.invite(make_request("INVITE", ...), flow)  # ACK is sent; call.body is the answer's SDP
        call.on_request = in_dialog                                  # INFO, re-INVITE, UPDATE, MESSAGE inside it
        await call.info(text, "Application/MANSRTSP")
        why = await call.wait_ended()                                # "bye", "local", "timeout", "transport", ...
        await call.bye()
        record = call.record()                                       # plain dict; node.restore(record, flow) later

- **Addresses.** ``Flow(transport, host, port, connection)``: the flow of a ServerTransaction is where its request
  came from; keep it and send there (a TCP device is reached over its own connection). ``connection`` 0 means any:
  ``Flow("udp", "10.0.0.2", 5060)`` reaches anybody, ``Flow("tcp", host, port)`` takes one that is there or dials.
- **handler(tx: ServerTransaction)** gets every request outside known calls and subscriptions. It answers by
  ``tx.respond(200, headers=[("Date", ...)], body=b"", content_type=None)``, now or later. A plain function is called at
  once and may return a coroutine, which the node runs as a task of its own (bounded; beyond it 503). What it raises
  becomes 500. ``tx.request`` is a ``message.Request``, ``tx.flow`` the Flow, ``tx.call`` the call it names, if any.
  The node itself answers CANCEL, BYE of a call (200), BYE, INFO, UPDATE, PRACK and re-INVITE of unknown dialogs (481),
  and what is malformed (400, 413, 416, 420, 505, ...).
- **request(request, flow, credentials=None, timeout=None) -> Response**: Via, From tag, Call-ID, CSeq, Max-Forwards and
  User-Agent are filled in where missing; 401 and 407 are met once with ``credentials`` (``rtsp.auth.Credentials``).
  The final response comes back whatever its status. Raises SipTimeout, TransportGone.
- **invite(request, flow, credentials=None, on_provisional=None, timeout=60) -> Call**: raises CallRefused (.response),
  SipTimeout, TransportGone. Cancelling the coroutine sends CANCEL, and BYE should a 2xx cross it.
- **answer(tx, body, content_type="application/sdp", headers=()) -> Call**: 200 to an INVITE, repeated until the ACK;
  ``await call.wait_confirmed()`` for that. ``tx.on_cancel`` tells of a CANCEL before.
- **call(call_id) -> Call | None**: by Call-ID alone, for a MediaStatus whose From is not the device.
- **subscribe(request, flow, on_notify, credentials=None) -> Subscription**: refreshed before it runs out;
  ``await subscription.wait_ended()``; ``await subscription.stop()``. A NOTIFY before the 200 is taken.
  ``notifier(tx, expires=...) -> Notifier`` for the other side: ``await notifier.notify(body, content_type)``.
- **trace(direction, flow, data: bytes)**: every message in and out; whoever keeps it bounds and masks it
  (``masked(data) -> str``: at most 16 KiB, credentials hidden).
- **counters**: a Counter; nothing malformed ever raises out of the node.
"""

from typing import Final

TRACE_TEXT: Final = 16_384
