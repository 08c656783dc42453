// What a tile says. Live is silent; everything else speaks. Pure.
import type { View } from '@/media/watching'
import type { Camera } from '@/wire/types'

export type Speech =
  | { kind: 'silent' }
  | { kind: 'connecting' }
  | { kind: 'frozen' | 'late'; seconds: number }
  | { kind: 'no_first' | 'lost'; reason: string | null; retry: number | null } // retry: seconds; null: none is planned

const LATE = 2_000 // ms behind: no longer what happens now
const LIVE_REASONS = new Set(['player.no_first_frame', 'player.no_frames', 'player.connection'])

function seconds(until: number | null, now: number): number | null {
  return until === null ? null : Math.max(0, Math.ceil((until - now) / 1000))
}

/**
 * `camera`: what the hub knows of the source (its times by the hub's clock, `hubNow`); `view`: what this
 * browser sees (local clock, `now`). The source's own reason says more than ours, so it goes first.
 */
export function speech(view: View, camera: Camera | undefined, now: number, hubNow: number): Speech {
  if (view.phase === 'live') {
    const delay = view.stats?.delay ?? 0
    return delay > LATE ? { kind: 'late', seconds: Math.round(delay / 1000) } : { kind: 'silent' }
  }
  if (view.phase === 'frozen') {
    return { kind: 'frozen', seconds: Math.max(0, Math.round((now - (view.lastFrameAt ?? now)) / 1000)) }
  }
  const kind = view.lastFrameAt === null ? 'no_first' : 'lost'
  const failed = camera?.state === 'failed'
  if (failed && (view.phase === 'connecting' || view.reason === null || LIVE_REASONS.has(view.reason) || view.reason === camera.reason)) {
    const hubRetry = seconds(camera.retry_at, hubNow)
    const own = seconds(view.retryAt, now)
    return { kind, reason: camera.reason, retry: hubRetry ?? own }
  }
  if (view.phase === 'lost') return { kind, reason: view.reason, retry: seconds(view.retryAt, now) }
  if (camera?.state === 'frozen') return { kind, reason: 'player.no_frames', retry: null }
  return { kind: 'connecting' }
}

/** Whether the picture on the screen is not the present one. */
export function isStale(view: View): boolean {
  return view.phase !== 'live'
}
