// The life of one watched picture: the only table of it. No timers and no sockets in here.

export type Phase = 'idle' | 'connecting' | 'live' | 'frozen' | 'lost'
export type PhaseEvent = 'start' | 'frame' | 'quiet' | 'failed' | 'retry' | 'stop'

const NEXT: Readonly<Record<Phase, Partial<Record<PhaseEvent, Phase>>>> = {
  idle: { start: 'connecting', stop: 'idle' },
  connecting: { frame: 'live', failed: 'lost', stop: 'idle' },
  live: { frame: 'live', quiet: 'frozen', failed: 'lost', stop: 'idle' },
  frozen: { frame: 'live', quiet: 'frozen', failed: 'lost', stop: 'idle' },
  lost: { retry: 'connecting', stop: 'idle' },
}

/** The phase after an event. Throws on a move that the table does not hold. */
export function step(phase: Phase, event: PhaseEvent): Phase {
  const after = NEXT[phase][event]
  if (after === undefined) throw new Error(`player: ${event} is not possible in ${phase}`)
  return after
}

export interface Limits {
  frozenAfter: number // ms without a new frame: the picture is stale
  lostAfter: number // ms without a new frame: connect anew
  firstFrameWithin: number // ms from the start to the first frame
  silentAfter?: number // ms without any packet at all: the relay itself is gone
}

const SILENT_AFTER = 2_000
export const LIMITS: Limits = { frozenAfter: 1_500, lostAfter: 5_000, firstFrameWithin: 10_000 }

/**
 * What silence means. `quietFor` is ms since the last frame, or since the start before the first one; `silentFor` is ms
 * since the last packet of any kind (a relay that lives sends reports even when its source is silent).
 */
export function judge(phase: Phase, quietFor: number, limits: Limits = LIMITS, silentFor = 0): PhaseEvent | null {
  if (phase === 'connecting') return quietFor >= limits.firstFrameWithin ? 'failed' : null
  if (phase !== 'live' && phase !== 'frozen') return null
  if (quietFor >= limits.lostAfter) return 'failed'
  if (phase === 'frozen' && silentFor >= (limits.silentAfter ?? SILENT_AFTER)) return 'failed'
  return phase === 'live' && quietFor >= limits.frozenAfter ? 'quiet' : null
}
