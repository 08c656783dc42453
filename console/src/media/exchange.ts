// The HTTP half of WHEP and WHIP: an offer goes out, an answer and the session's address come back.
import { ApiError, reach, refusalOf } from '@/wire/http'

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

/** End a session; survives the page's own end. Failures are of no interest: the relay times out as well. */
export function endSession(session: string | null): void {
  if (!session) return
  void fetch(session, { method: 'DELETE', keepalive: true, credentials: 'same-origin' }).catch(() => undefined)
}
