// The HTTP half of WHEP and WHIP: an offer goes out, an answer and the session's address come back.
import { ApiError, reach, refusalOf } from '@/wire/http'
import { whenTransportEnds } from './transport'

export interface Exchanged {
  answer: string
  session: string // address to DELETE
}

/** POST an SDP offer. Throws ApiError (`relay.none`, `source.unreachable` …). */
export async function exchange(url: string, offer: string, signal?: AbortSignal): Promise<Exchanged> {
  const init: RequestInit = { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: offer }
  if (signal) init.signal = signal
  const answer = await reach(url, init)
  if (answer.status !== 201) throw await refusalOf(answer)
  const place = answer.headers.get('Location')
  if (!place) throw new ApiError({ id: 'network.not_understood', message: 'no Location', status: answer.status })
  return { answer: await answer.text(), session: new URL(place, new URL(url, window.location.href)).href }
}

/** Why it failed, in an error id, and whether asking again is of no use: a refusal with one of these statuses. */
export function causeOf(error: unknown, hopeless: ReadonlySet<number>): { reason: string; final: boolean } {
  if (error instanceof ApiError) return { reason: error.id, final: hopeless.has(error.status) }
  return { reason: typeof error === 'string' ? error : 'player.connection', final: false }
}

export interface Negotiation {
  url: string
  signal: AbortSignal
  ice: (pc: RTCPeerConnection) => Promise<void>
  post: (url: string, offer: string, signal: AbortSignal) => Promise<Exchanged>
  end: (session: string | null) => void
  ended: () => void // the relay closed the connection
}

/**
 * Offer what the connection has, and take the answer: the session. Throws what refused it, and when it is aborted
 * meanwhile; no session is left behind then.
 */
export async function negotiate(pc: RTCPeerConnection, how: Negotiation): Promise<string> {
  await how.ice(pc)
  how.signal.throwIfAborted()
  await pc.setLocalDescription()
  const { answer, session } = await how.post(how.url, pc.localDescription?.sdp ?? '', how.signal)
  try {
    how.signal.throwIfAborted()
    await pc.setRemoteDescription({ type: 'answer', sdp: answer })
    how.signal.throwIfAborted()
  } catch (error) {
    how.end(session)
    throw error
  }
  whenTransportEnds(pc, how.ended)
  return session
}

/** End a session; survives the page's own end. Failures are of no interest: the relay times out as well. */
export function endSession(session: string | null): void {
  if (!session) return
  void fetch(session, { method: 'DELETE', keepalive: true, credentials: 'same-origin' }).catch(() => undefined)
}
