// The relay ends a session (a right withdrawn, a conference over) by closing DTLS. Chromium's connectionState needs about
// six seconds to notice; the DTLS transport itself says `closed` within milliseconds (W3C webrtc §5.5).

/** Call `ended` once when the bundle's DTLS transport closes or fails. Call after setRemoteDescription. */
export function whenTransportEnds(pc: RTCPeerConnection, ended: () => void): void {
  const transport = pc.getReceivers()[0]?.transport ?? pc.getSenders()[0]?.transport
  if (!transport) return // the other states still tell, later
  transport.onstatechange = () => {
    if (transport.state !== 'closed' && transport.state !== 'failed') return
    transport.onstatechange = null
    ended()
  }
}
