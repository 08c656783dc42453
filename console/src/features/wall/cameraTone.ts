import type { Tone } from '@/ui/StateMark.vue'
import type { CameraState } from '@/wire/types'

const TONES: Record<CameraState, Tone> = { idle: 'quiet', connecting: 'busy', live: 'good', frozen: 'warn', failed: 'bad' }

export function cameraTone(state: CameraState): Tone {
  return TONES[state]
}
